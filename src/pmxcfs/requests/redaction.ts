/**
 * Removes secrets from recordings: private files and key files (by their canonical path), passwords
 * and ssh keys of guests, the strings in status values. The rows of VERIFY_TOKEN and the cluster
 * log redact tokens and messages.
 */
import { pathIsPrivate, pathParts } from "../state/private-path.ts";

/** Stands in place of a secret. */
export const REDACTED = "REDACTED";

/** Properties of a guest's configuration that are secret. */
const SECRET_PROPERTIES: readonly string[] = ["cipassword", "sshkeys", "ssh-public-keys"];

/**
 * As in the server, only a newline ends a line; `.` and `$` would also stop at a carriage return.
 */
const SECRET_LINES = new RegExp(
  `((?:^|\\n)(?:${SECRET_PROPERTIES.join("|")}):[ \\t]*)[^\\n]*`,
  "g",
);

/**
 * Secrets of section configurations that all users of the API's group may read: `client-key` of
 * OpenID realms (domains.cfg), `token` and `key` of sdn/ipams.cfg and sdn/dns.cfg.
 */
const SECRET_OPTIONS = /((?:^|\n)[ \t]+(?:client-key|key|token|password|secret)[ \t]+)[^\n]*/g;

/** The password of `scheme://user:password@host`, as in http_proxy of datacenter.cfg. */
const URL_PASSWORDS = /(:\/\/[^\s:/@]{1,256}:)[^\s@/]{1,1024}(?=@)/g;

/** A key file or a copy of one: pve-ssl.key, pve-ssl.key.bak, ceph.client.crash.keyring. */
const KEY_FILE = /\.(?:key|pem\.key|p12|pfx|keyring|secret)(?:$|[.~_-])/i;

/**
 * A configuration file without secrets: a private file or a key is replaced as a whole (repeated
 * slashes in the path do not matter), in others the values of secret properties and options are.
 * Returns the same object when nothing is secret.
 */
export function redactFile(path: string, content: Uint8Array): Uint8Array {
  if (content.byteLength === 0) return content;
  if (pathIsPrivate(path) || KEY_FILE.test(pathParts(path).at(-1) ?? "")) {
    return Buffer.from(`${REDACTED}\n`);
  }
  const text = Buffer.from(content).toString("latin1");
  const cut = [SECRET_LINES, SECRET_OPTIONS, URL_PASSWORDS].reduce(
    (rest, secret) => rest.replaceAll(secret, `$1${REDACTED}`),
    text,
  );
  return cut === text ? content : Buffer.from(cut, "latin1");
}

/** The answer of a property request without secret values. */
export function redactProperties(reply: Uint8Array): Uint8Array {
  const text = Buffer.from(reply).toString("utf8");
  const cut = redactedJson(text, (key) => SECRET_PROPERTIES.includes(key));
  return cut === text ? reply : Buffer.from(cut, "utf8");
}

/** `"key": "value"`, in JSON syntax. */
const MEMBER = /"((?:[^"\\]|\\.)*)"(\s*:\s*)"((?:[^"\\]|\\.)*)"/g;

/** JSON text in which the strings under secret keys are REDACTED. */
export function redactedJson(text: string, isSecret: (key: string) => boolean): string {
  return text.replaceAll(MEMBER, (whole, key: string, colon: string) =>
    isSecret(key) ? `"${key}"${colon}"${REDACTED}"` : whole,
  );
}

/**
 * A status value without its texts. In JSON all strings become empty, so that a client can still
 * parse it; any other value is replaced as a whole. A final NUL stays.
 */
export function redactStatus(value: Uint8Array): Uint8Array {
  if (value.byteLength === 0) return value;
  const isTerminated = value.at(-1) === 0;
  const text = Buffer.from(isTerminated ? value.subarray(0, -1) : value).toString("utf8");
  const end = isTerminated ? "\0" : "";
  try {
    const cut: unknown = JSON.parse(text, (_, item: unknown) =>
      typeof item === "string" ? "" : item,
    );
    return Buffer.from(`${JSON.stringify(cut)}${end}`);
  } catch {
    return Buffer.from(`${REDACTED}${end}`);
  }
}
