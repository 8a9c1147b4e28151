/**
 * Masks secrets in displayed text: configuration lines, logs, command lines. Whatever may be a
 * password, a token, a ticket or a private key becomes `***`.
 */

/** Keys whose values are secret. */
const KEYS =
  "password|passwd|passphrase|secret|token|ticket|cipassword|sshkeys|ssh-public-keys|keyring|" +
  "bindpw|encryption-key|master-pubkey|apikey|api_key|authorization|cookie|key";

/** Words that make any name a secret's that ends with them: `accessToken`, `bindPassword`. */
const ENDINGS = "password|passwd|passphrase|secret|token|ticket|cookie|apikey|privatekey";

/** The key of a secret within a line: quoted or not, alone or at the end of a longer name. */
const NAME = String.raw`(?:(?:\b|(?<=_))(?:${KEYS})|${ENDINGS})\\{0,4}["']?`;

/** White space within a line. */
const BLANK = String.raw`[^\S\n]`;
const SPACE = `${BLANK}{0,64}`;

/** From the key to its value: `key=`, `"key": `, `'key' => ` (Perl's Data::Dumper). */
const BEFORE = `${NAME}${SPACE}(?:=>|[:=](?!>))${SPACE}`;

/**
 * A quote, with the backslashes that it has in JSON within JSON. A quoted value ends with the same
 * quote, so it is found again at the next value at the latest.
 */
const QUOTE = String.raw`\\{0,4}["']`;

/**
 * Each rule must take time linear in the length of the text, because a client can make log lines as
 * long as it likes. So every repetition before the replaced part is bounded or anchored.
 */
const RULES: readonly (readonly [pattern: RegExp, replacement: string])[] = [
  // `key: value`, `key = value` and `client-key value` at the start of a line, as in PVE's files.
  [
    new RegExp(
      `^(${BLANK}*(?:\\w[\\w-]{0,63}-)?(?:${KEYS})(?:${BLANK}*[:=]|${BLANK})${BLANK}*)\\S.*$`,
      "gim",
    ),
    "$1***",
  ],
  // `Authorization: Bearer value`, alone or as a quoted word, and `Bearer value` without it.
  [new RegExp(`(authorization["']?${SPACE}[:=]${SPACE}["']?)[^"'\\n]+`, "gi"), "$1***"],
  [/\b(Bearer {1,64})[\w.~+/=-]{8,}/gi, "$1***"],
  // `key="value"`, `'key' => 'value'`, `key=value` and `--key value` within a line.
  [new RegExp(`(${BEFORE})(${QUOTE})(?:\\\\.|[^\\\\\\n])*?\\2`, "gi"), "$1$2***$2"],
  [new RegExp(`(${BEFORE})"[^"]*"`, "gi"), '$1"***"'],
  [new RegExp(`(${BEFORE}["'])(?!\\*{3}["']).*$`, "gim"), "$1***"],
  [new RegExp(`(${BEFORE})(?!${QUOTE})[^\\s"',;&]+`, "gi"), "$1***"],
  [/\b(pass|pw)=[^\s"',;&]+/gi, "$1=***"],
  [
    new RegExp(
      `(?<![\\w-])(--?(?:[\\w-]{1,64}-)?(?:${KEYS})\\s{1,64})(?:"[^"\\n]*"|'[^'\\n]*'|\\S+)`,
      "gi",
    ),
    "$1***",
  ],
  // API tokens (user@realm!name=secret), and UUIDs anywhere.
  [/(@[\w.-]{1,128}![\w.-]{1,128}\s{0,64}[=: ]\s{0,64})\S+/g, "$1***"],
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/gi, "***"],
  // Tickets: PVE:user@realm:TIME::SIGNATURE.
  [/\b(PVE\w{0,64}:[^:\s]{1,256}:)[0-9A-F]{8}::\S+/g, "$1***"],
  // scheme://user:password@host
  [/(:\/\/[^\s:/@]{1,256}:)[^\s@/]{1,1024}@/g, "$1***@"],
];

const PRIVATE_KEY =
  /(-----BEGIN [A-Z ]{0,64}PRIVATE KEY-----)[\s\S]*?(-----END [A-Z ]{0,64}PRIVATE KEY-----|$)/g;

/** `text` with every recognised secret replaced by `***`. */
export function maskSecrets(text: string): string {
  const masked = RULES.reduce(
    (rest, [pattern, replacement]) => rest.replaceAll(pattern, replacement),
    text,
  );
  return masked.replaceAll(PRIVATE_KEY, "$1\n***\n$2");
}
