/** A unified diff of two contents; secrets are masked by default. */
import { createTwoFilesPatch, FILE_HEADERS_ONLY } from "diff";
import { escapeLines } from "../../base/escape.ts";
import { maskSecrets } from "../../base/mask-secrets.ts";

/** Larger files are not compared line by line. */
const MOST_BYTES = 1024 * 1024;

/** Limit of a diff, ms: its time grows with the square of the lines that differ. */
const LONGEST_MS = 2000;

/** Whether bytes are text: no NUL in them. */
function isText(bytes: Uint8Array): boolean {
  return !bytes.includes(0);
}

export interface Side {
  /** The name in the head of the diff: `storage.cfg@12`. */
  readonly label: string;
  /** Undefined if there was no file. */
  readonly bytes: Uint8Array | undefined;
}

/** The name of a side: as in other tools, /dev/null where there was no file. */
function nameOf({ bytes, label }: Side): string {
  return bytes === undefined ? "/dev/null" : label;
}

/**
 * The diff; "" if nothing differs. Of binary contents, and of large ones that have not much in
 * common, only the sizes are given.
 */
export function unifiedDiff(before: Side, after: Side, showSecrets: boolean): string {
  const [a, b] = [before.bytes ?? new Uint8Array(0), after.bytes ?? new Uint8Array(0)];
  if (Buffer.compare(a, b) === 0 && (before.bytes === undefined) === (after.bytes === undefined)) {
    return "";
  }
  const head = `--- ${nameOf(before)}\n+++ ${nameOf(after)}\n`;
  const summary = (text: string): string => `${head}${text}\n`;
  const sizes = `the contents differ (${a.length} bytes, then ${b.length})`;
  if (a.length + b.length === 0) return summary("the file is empty");
  if (!isText(a) || !isText(b) || a.length + b.length > MOST_BYTES) return summary(sizes);
  const [oldText = "", newText = ""] = [a, b].map((bytes) => Buffer.from(bytes).toString("utf8"));
  // Bytes that are not UTF-8 are decoded to the same character.
  if (oldText === newText) return summary(sizes);
  const shown = showSecrets ? (text: string) => text : maskSecrets;
  const patch = createTwoFilesPatch(
    nameOf(before),
    nameOf(after),
    shown(oldText),
    shown(newText),
    undefined,
    undefined,
    { headerOptions: FILE_HEADERS_ONLY, timeout: LONGEST_MS },
  );
  if (patch === undefined) return summary(sizes);
  // A diff goes to a terminal, and contents may have control characters.
  return /^@@ /m.test(patch) ? escapeLines(patch) : summary("only masked secrets differ");
}
