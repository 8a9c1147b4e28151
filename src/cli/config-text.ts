/** Shared by the `config` commands: displays names, and writes lines to stderr. */

import { escapeText } from "../base/escape.ts";

/** A name for display: unchanged if it is valid UTF-8, else with its non-ASCII bytes as \xNN. */
export function showName(name: string): string {
  const bytes = Buffer.from(name, "latin1");
  const decoded = bytes.toString("utf8");
  if (!decoded.includes("\uFFFD")) return escapeText(decoded);
  return bytes
    .toString("latin1")
    .replaceAll(/[^ -~]/g, (each) => `\\x${Buffer.from(each, "latin1").toString("hex")}`);
}

/** Writes a line to stderr. */
export function warn(line: string): void {
  process.stderr.write(`${escapeText(line)}\n`);
}
