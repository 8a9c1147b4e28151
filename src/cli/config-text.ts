/** Shared by the `config` commands: names for a terminal, and lines on stderr. */

import { escapeText } from "../base/escape.ts";

/** Bytes of a name for a terminal: UTF-8 unchanged, anything else as \xNN. */
export function showName(name: string): string {
  const bytes = Buffer.from(name, "latin1");
  const decoded = bytes.toString("utf8");
  if (!decoded.includes("\uFFFD")) return escapeText(decoded);
  return bytes
    .toString("latin1")
    .replaceAll(/[^ -~]/g, (each) => `\\x${Buffer.from(each, "latin1").toString("hex")}`);
}

/** A line on stderr. */
export function warn(line: string): void {
  process.stderr.write(`${escapeText(line)}\n`);
}
