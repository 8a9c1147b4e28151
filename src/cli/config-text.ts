/** Shared by the `config` commands: names, differences and lines on stderr. */
import { escapeText } from "../base/escape.ts";
import type { PathDifference } from "../pmxcfs/rescue/compare.ts";

const MARKS = { added: "+", removed: "-", changed: "!", touched: "~" } as const;

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

/** A difference of two databases as a line: `! storage.cfg  (12 bytes, then 14)`. */
export function differenceLine({ kind, path, detail }: PathDifference): string {
  return `${MARKS[kind]} ${showName(path)}${detail === "" ? "" : `  (${detail})`}\n`;
}
