/**
 * A change of the tree as data: what a system call on the mount asks for, what a message of the
 * database group carries (docs/internals/replication.md), and what the journal keeps.
 */

/** Paths are latin1, one character per byte, without a slash at either end; "" is the root. */
export type TreeCommand =
  | {
      readonly kind: "write";
      readonly path: string;
      /** Bytes; what lies between the file's end and it becomes zeros. */
      readonly offset: number;
      /** Not kept: the caller may use its memory again afterwards. */
      readonly data: Uint8Array;
    }
  | { readonly kind: "truncate"; readonly path: string; readonly size: number }
  /** remove: files and empty directories. */
  | { readonly kind: "create" | "mkdir" | "remove"; readonly path: string }
  | { readonly kind: "rename"; readonly path: string; readonly to: string }
  /** mtime: unix seconds, u32. */
  | { readonly kind: "utime"; readonly path: string; readonly mtime: number };

/** Who changes the tree and when: the same on every node that applies the change. */
export interface Origin {
  /** Node id (u32) of the writing node; 0 in local mode. */
  readonly writer: number;
  /** Unix seconds, u32. */
  readonly time: number;
}
