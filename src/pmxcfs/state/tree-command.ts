/**
 * A change of the tree as data: made from a system call on the mount, sent in a message of the
 * database group (docs/internals/replication.md), and stored in a record of the journal.
 */

/** Paths are latin1, one character per byte, without a slash at either end; "" is the root. */
export type TreeCommand =
  | {
      readonly kind: "write";
      readonly path: string;
      /** In bytes; a gap between the file's end and the offset is filled with zeros. */
      readonly offset: number;
      /** Copied: the caller may reuse its memory afterwards. */
      readonly data: Uint8Array;
      /** The file ends after the data. No server sends that, but C accepts it from a peer. */
      readonly cuts?: boolean;
    }
  | { readonly kind: "truncate"; readonly path: string; readonly size: number }
  /** `remove` is for files and empty directories. */
  | { readonly kind: "create" | "mkdir" | "remove"; readonly path: string }
  | { readonly kind: "rename"; readonly path: string; readonly to: string }
  /** `mtime`: unix seconds, u32. */
  | { readonly kind: "utime"; readonly path: string; readonly mtime: number };

/** The commands of some kinds. */
export type CommandOf<Kind extends TreeCommand["kind"]> = Extract<
  TreeCommand,
  { readonly kind: Kind }
>;

/** Writer and time of a change: the same on every node that applies it. */
export interface Origin {
  /** Node id (u32) of the writing node; 0 in local mode. */
  readonly writer: number;
  /** Unix seconds, u32. */
  readonly time: number;
}

/** A command that outlives the call needs its own memory: its data may be a view of a request. */
export function keptCommand(command: TreeCommand): TreeCommand {
  return command.kind === "write" ? { ...command, data: new Uint8Array(command.data) } : command;
}
