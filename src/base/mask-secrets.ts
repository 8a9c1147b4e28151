/**
 * Masks secrets in texts for people: configuration lines, logs, command lines. What looks like a
 * password, a token, a ticket or a private key becomes `***`; in doubt it is masked.
 */

/** Keys whose values are secret. */
const KEYS =
  "password|passwd|passphrase|secret|token|ticket|cipassword|sshkeys|ssh-public-keys|keyring|" +
  "bindpw|encryption-key|master-pubkey|apikey|api_key|authorization|cookie|key";

/** A secret's key within a line, quoted or not, alone or as the end of a longer name. */
const NAME = String.raw`["']?\b(?:[\w-]*[-_])?(?:${KEYS})["']?`;

const RULES: readonly (readonly [pattern: RegExp, replacement: string])[] = [
  // `key: value`, `key = value` and `key value` at the start of a line, as PVE's files have them.
  [new RegExp(String.raw`^(\s*(?:${KEYS})\s*[:= ]\s*)\S.*$`, "gim"), "$1***"],
  // `key=value`, `"key": "value"` and `--key value` within a line.
  [new RegExp(String.raw`(${NAME}\s*[:=]\s*)"[^"]*"`, "gi"), '$1"***"'],
  [new RegExp(String.raw`(${NAME}\s*[:=]\s*)[^\s"',;&]+`, "gi"), "$1***"],
  [new RegExp(String.raw`(--?(?:[\w-]+-)?(?:${KEYS})\s+)\S+`, "gi"), "$1***"],
  // API tokens (user@realm!name=secret), and UUIDs wherever they stand.
  [/(\S+@[\w.-]+![\w.-]+\s*[=: ]\s*)\S+/g, "$1***"],
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/gi, "***"],
  // Tickets: PVE:user@realm:TIME::SIGNATURE.
  [/\b(PVE\w*:[^:\s]+:)[0-9A-F]{8}::\S+/g, "$1***"],
  // scheme://user:password@host
  [/(\b[a-z][a-z0-9+.-]*:\/\/[^\s:/@]+:)[^\s@/]+@/gi, "$1***@"],
];

const PRIVATE_KEY =
  /(-----BEGIN [A-Z ]*PRIVATE KEY-----)[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g;

/** `text` with every secret it can recognise replaced by `***`. */
export function maskSecrets(text: string): string {
  const masked = RULES.reduce((so, [pattern, by]) => so.replaceAll(pattern, by), text);
  return masked.replaceAll(PRIVATE_KEY, "$1\n***\n$2");
}
