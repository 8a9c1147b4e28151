/**
 * What an operation is: one row of the table in operations/index.ts. The shapes here match those
 * of the transport without importing it; the backend's parts come in as interfaces, so that a
 * request needs no more of them than it says.
 */
import type { Errno } from "../../base/errno.ts";
import type { CfsIpc } from "./layouts.ts";
import type { Span } from "../../wire/struct.ts";

/** Who asks. pid, uid and gid are the kernel's word (SO_PEERCRED). */
export interface Credentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

export type Permissions = "read-write" | "read-only";

export interface Caller extends Credentials {
  readonly permissions: Permissions;
}

/** A body, which may be empty, or the errno that is sent without one. */
export type Reply = Uint8Array | Errno;

/** The answer that says no more than "done". */
export const DONE: Uint8Array = new Uint8Array(0);

/** The configuration tree. Paths are latin1; slashes at either end or doubled do not matter. */
export interface Tree {
  /** Bytes of a regular file, never changed afterwards; undefined when there is none. */
  read(path: string): Uint8Array | undefined;
}

export interface VersionCounters {
  /** Seconds since 1970. */
  readonly startTime: number;
  readonly clinfo: number;
  readonly vmlist: number;
  /** Paths, in the order in which they are shown. */
  readonly observed: readonly string[];
  of(path: string): number;
  /** Moves whenever one of the above moves. */
  readonly generation: number;
}

export interface GuestIndex {
  /** The text of GET_GUEST_LIST. */
  list(): Uint8Array;
  /** True when a guest has this number. */
  has(vmid: number): boolean;
  /** The text of GET_GUEST_CONFIG_PROPERTY(S) for one guest, or for all when vmid is 0. ENOENT:
   *  no such guest; EIO: its configuration is empty. */
  properties(vmid: number, names: readonly string[]): Uint8Array | Errno;
}

export interface ClusterMembers {
  /** The text of GET_CLUSTER_INFO. */
  clusterInfo(): Uint8Array;
}

export interface TokenList {
  /** True when a whole line of priv/token.cfg equals `line` (latin1). */
  has(line: string): boolean;
}

export interface NodeStatus {
  set(name: string, data: Uint8Array): 0 | Errno;
  get(node: string, name: string): Uint8Array | undefined;
}

export interface ClusterJournal {
  add(entry: {
    readonly priority: number;
    readonly user: string;
    readonly tag: string;
    readonly message: string;
    readonly pid: number;
  }): void;
  dump(user: string, maxEntries: number): Uint8Array;
}

export interface RrdEntries {
  dump(): Uint8Array;
}

/** The text of GET_FS_VERSION. */
export interface FsVersion {
  text(): Uint8Array;
}

/** Everything the operations work on. */
export interface Services {
  readonly memdb: Tree;
  readonly fsVersion: FsVersion;
  readonly guests: GuestIndex;
  readonly members: ClusterMembers;
  readonly tokens: TokenList;
  readonly status: NodeStatus;
  readonly clusterLog: ClusterJournal;
  readonly rrd: RrdEntries;
}

/** One of the twelve requests. */
export interface Operation {
  readonly id: CfsIpc;
  /** Its C name, for logs, counters and the manual. */
  readonly name: keyof typeof CfsIpc;
  /** `write`: a read-only caller gets EPERM before anything else is looked at. */
  readonly access: "read" | "write";
  /** Bodies of fewer or more bytes get EINVAL. */
  readonly minBytes: number;
  readonly maxBytes: number;
  /** The errno of a request whose header claims another size than it has; EINVAL unless given. */
  readonly malformed?: (services: Services, body: Span) => Errno;
  /** Answers from the body, which is gone when this returns. Never throws on purpose. */
  run(services: Services, body: Span, caller: Caller): Reply;
}
