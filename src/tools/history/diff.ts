/** A unified diff of two contents; secrets are masked by default. */
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
  /** Undefined if there was no file. */
  readonly bytes: Uint8Array | undefined;
}

/** The diff; "" if nothing differs. Of binary and very large contents only the sizes are given. */
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
  // A diff goes to a terminal, and contents may have control characters.
  if (patch.includes("@@")) return escapeLines(patch);
  return `--- ${before.label}\n+++ ${after.label}\nonly masked secrets differ\n`;
}
