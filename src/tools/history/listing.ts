/** Changes as lines of text and as JSON. */
import { escapeText } from "../../base/escape.ts";
import { alignColumns } from "../../base/table.ts";
import type { KeptChange } from "../../pmxcfs/history/reader.ts";

/** A latin1 path for a terminal or JSON: decoded if it is valid UTF-8, with controls escaped. */
export function showPath(path: string): string {
  const decoded = Buffer.from(path, "latin1").toString("utf8");
  return escapeText(decoded.includes("\uFFFD") ? path : decoded);
}

/** `2026-11-26T03:01:07Z`. */
export function showTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
}

/** The versions of a change: `12`, or `10-12` if several were joined. */
export function showVersions({ firstVersion, version }: KeptChange): string {
  return firstVersion === version ? String(version) : `${firstVersion}-${version}`;
}

/** The author of a change: process, node, sync or start. */
export function showAuthor({ cause, pid, uid, command, writer }: KeptChange): string {
  if (cause === "start") return "(found at start)";
  const by = writer === 0 ? "" : `node ${writer} `;
  if (cause === "sync") return `${by}(cluster sync)`;
  if (pid === null) return by === "" ? "(unknown)" : by.trim();
  return `${by}${showPath(command ?? "?")}[${pid}] uid ${uid}`;
}

/** The path, or `old -> new` for a rename. */
export function showWhere({ path, to, type }: KeptChange): string {
  const slash = type === "directory" ? "/" : "";
  return to === null ? showPath(path) + slash : `${showPath(path)} -> ${showPath(to)}${slash}`;
}

/** The listing: a heading, and a line for each change. */
export function listingText(changes: readonly KeptChange[]): string {
  const rows = changes.map((change) => [
    showVersions(change),
    showTime(change.timeMs),
    change.kind,
    change.type === "file" && change.kind !== "remove" ? String(change.size) : "-",
    showAuthor(change),
    showWhere(change) + (change.isPrivate ? "  (private)" : ""),
  ]);
  const head = ["VERSION", "TIME", "CHANGE", "BYTES", "BY", "PATH"];
  return alignColumns([head, ...rows])
    .map((line) => `${line}\n`)
    .join("");
}

/** One change as an object for JSON. */
export function changeJson(change: KeptChange): Record<string, unknown> {
  const { version, firstVersion, timeMs, writer, pid, uid, command, kind, cause } = change;
  return {
    version,
    first_version: firstVersion,
    time: new Date(timeMs).toISOString(),
    node_id: writer,
    pid,
    uid,
    command: command === null ? null : showPath(command),
    change: kind,
    cause,
    path: showPath(change.path),
    to: change.to === null ? null : showPath(change.to),
    type: change.type,
    size: change.size,
    mtime: change.mtime,
    sha256: change.digest === null ? null : Buffer.from(change.digest).toString("hex"),
    private: change.isPrivate,
  };
}
