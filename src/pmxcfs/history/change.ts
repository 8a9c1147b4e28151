/**
 * One change of the tree as the history keeps it. Plain data, because it is sent to the writing
 * thread.
 */

export type ChangeKind = "create" | "mkdir" | "write" | "replace" | "rename" | "touch" | "remove";

/**
 * Why a change happened: a process changed the tree; a sync of the cluster; or it was found at the
 * start of the server (changed while no history was kept).
 */
export type ChangeCause = "change" | "sync" | "start";

/** The process that asked for a change on this node. */
export interface Author {
  readonly pid: number;
  readonly uid: number;
  /** /proc/PID/comm; "?" when the process had ended. */
  readonly command: string;
}

export interface HistoryChange {
  readonly kind: ChangeKind;
  readonly cause: ChangeCause;
  /** Root version after the change. */
  readonly version: number;
  /** Root version after the first of the changes that were joined into this one. */
  readonly firstVersion: number;
  /** When it was applied here, ms since 1970. */
  readonly timeMs: number;
  /** Id of the node that made it; 0 outside a cluster. */
  readonly writer: number;
  /** Latin1, without outer slashes; for a rename, the old path. */
  readonly path: string;
  /** For a rename: the new path. */
  readonly to: string | undefined;
  readonly type: "file" | "directory";
  /** Bytes of the file after the change; 0 for a directory and a removal. */
  readonly size: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  /** Content after the change; undefined for a directory, a removal, and where it is not kept. */
  readonly bytes: Uint8Array | undefined;
  /** Below priv or nodes/N/priv: the content is kept only on request. */
  readonly isPrivate: boolean;
  readonly author: Author | undefined;
}

/** The path of the entry after the change. */
export function placeOf(change: Pick<HistoryChange, "path" | "to">): string {
  return change.to ?? change.path;
}

/** The newest version and kind of entry at each path, as far as changes are known. */
export type LastKnown = Map<string, readonly [version: number, type: "file" | "directory"]>;

/** Adds one more change, later than all before. */
export function follow(
  known: LastKnown,
  change: Pick<HistoryChange, "kind" | "path" | "to" | "version" | "type">,
): void {
  const { kind, path, to, version, type } = change;
  if (kind === "remove" || to !== undefined) known.delete(path);
  if (kind !== "remove") known.set(to ?? path, [version, type]);
}
