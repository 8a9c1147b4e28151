/** Two contents as a unified diff; secrets are masked unless asked for. */
import { createTwoFilesPatch, FILE_HEADERS_ONLY } from "diff";
import { escapeLines } from "../../base/escape.ts";
import { maskSecrets } from "../../base/mask-secrets.ts";

/** Larger files are not compared line by line. */
const MOST_BYTES = 1024 * 1024;

/** Whether bytes are text: no NUL in them. */
function isText(bytes: Uint8Array): boolean {
  return !bytes.includes(0);
}

export interface Side {
  /** The name in the head of the diff: `storage.cfg@12`. */
  readonly label: string;
  /** Undefined: there was no file. */
  readonly bytes: Uint8Array | undefined;
}

/** The diff; "" when nothing differs. Binary and very large contents are named, not shown. */
export function unifiedDiff(before: Side, after: Side, showSecrets: boolean): string {
  const [a, b] = [before.bytes ?? new Uint8Array(0), after.bytes ?? new Uint8Array(0)];
  if (Buffer.compare(a, b) === 0 && (before.bytes === undefined) === (after.bytes === undefined)) {
    return "";
  }
  if (!isText(a) || !isText(b) || a.length + b.length > MOST_BYTES) {
    const sizes = `${a.length} bytes, then ${b.length}`;
    return `--- ${before.label}\n+++ ${after.label}\nthe contents differ (${sizes})\n`;
  }
  const [oldText, newText] = [a, b].map((bytes) => Buffer.from(bytes).toString("utf8"));
  const shown = showSecrets ? (text: string) => text : maskSecrets;
  const patch = createTwoFilesPatch(
    before.bytes === undefined ? "/dev/null" : before.label,
    after.bytes === undefined ? "/dev/null" : after.label,
    shown(oldText ?? ""),
    shown(newText ?? ""),
    undefined,
    undefined,
    { headerOptions: FILE_HEADERS_ONLY },
  );
  // A diff is shown to people: contents may contain control characters.
  if (patch.includes("@@")) return escapeLines(patch);
  return `--- ${before.label}\n+++ ${after.label}\nonly masked secrets differ\n`;
}
