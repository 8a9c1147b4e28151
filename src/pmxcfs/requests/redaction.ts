/**
 * What recordings leave out: private files and keys by their canonical path, passwords and ssh keys
 * of guests, the strings of status values. Tokens and log messages are redacted by their own rows.
 */
import { pathIsPrivate, pathParts } from "../state/private-path.ts";

/** Replaces what was cut. */
export const REDACTED = "REDACTED";

/** Properties of a guest's configuration that hold secrets of the guest. */
const SECRET_PROPERTIES: readonly string[] = ["cipassword", "sshkeys", "ssh-public-keys"];

/** A line ends at a newline only, as for the server; `.` and `$` also stop at a carriage return. */
const SECRET_LINES = new RegExp(
  `((?:^|\\n)(?:${SECRET_PROPERTIES.join("|")}):[ \\t]*)[^\\n]*`,
  "g",
);

/** A key, or a copy of one: pve-ssl.key, pve-ssl.key.bak, ceph.client.crash.keyring. */
const KEY_FILE = /\.(?:key|pem\.key|p12|pfx|keyring|secret)(?:$|[.~_-])/i;

/**
 * A configuration file without its secrets: all of a private file or a key, whatever the slashes in
 * its path; else the values of secret properties. The same object when nothing is secret.
 */
export function redactFile(path: string, content: Uint8Array): Uint8Array {
  if (content.byteLength === 0) return content;
  if (pathIsPrivate(path) || KEY_FILE.test(pathParts(path).at(-1) ?? "")) {
    return Buffer.from(`${REDACTED}\n`);
  }
  const text = Buffer.from(content).toString("latin1");
  const cut = text.replaceAll(SECRET_LINES, `$1${REDACTED}`);
  return cut === text ? content : Buffer.from(cut, "latin1");
}

/** The answer of a property request without secret values. */
export function redactProperties(reply: Uint8Array): Uint8Array {
  const text = Buffer.from(reply).toString("utf8");
  const cut = redactedJson(text, (key) => SECRET_PROPERTIES.includes(key));
  return cut === text ? reply : Buffer.from(cut, "utf8");
}

/** `"key": "value"`, both as JSON has them. */
const MEMBER = /"((?:[^"\\]|\\.)*)"(\s*:\s*)"((?:[^"\\]|\\.)*)"/g;

/** The text of a JSON value in which the strings under some keys are REDACTED. */
export function redactedJson(text: string, isSecret: (key: string) => boolean): string {
  return text.replaceAll(MEMBER, (whole, key: string, colon: string) =>
    isSecret(key) ? `"${key}"${colon}"${REDACTED}"` : whole,
  );
}

/**
 * A status value without its texts: of JSON the strings are cut, so that a client can still parse
 * it; of anything else all. A final NUL stays.
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
