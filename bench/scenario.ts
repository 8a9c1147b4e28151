/**
 * What the benchmark measures, as data. A scenario names the servers that take part, what the load
 * does and, where docs/internals/scheduling.md and the README promise something, the ratio to the C
 * server.
 */

/** The numbers one run of a scenario on one server gives. Times in ns unless the name says so. */
export interface Measured {
  perSecond?: number;
  p50?: number;
  p99?: number;
  p999?: number;
  max?: number;
  /** The same load with nothing beside it. */
  perSecondAlone?: number;
  p99Alone?: number;
  /** What the load beside adds to the p99, ns, and takes of the round trips, %. */
  p99Added?: number;
  slowedBy?: number;
  /** Server CPU per 100,000 round trips, ms. */
  cpuMsPer100k?: number;
  /** Server CPU per connect and disconnect, us. */
  cpuUsPerConnect?: number;
  /** Idle: CPU in ms per second, and wake-ups per second. */
  idleCpuMs?: number;
  wakeups?: number;
  /** Exec to first answer, ms. */
  startMs?: number;
  /** Private memory at rest, and per connection, KiB. */
  restKiB?: number;
  connectionKiB?: number;
  /** Private memory per 1,000 files, KiB. */
  filesKiB?: number;
}

export type Metric = keyof Measured;

/**
 * A promise: ours divided by C's, or by the floor's, lies at or beyond a bound; or ours alone stays
 * below one.
 */
export interface Goal {
  readonly metric: Metric;
  /** What ours is divided by; C's unless given. */
  readonly of?: "c" | "floor";
  readonly atLeast?: number;
  readonly atMost?: number;
  readonly below?: number;
}

interface Named {
  readonly name: string;
  readonly group: string;
  readonly goals?: readonly Goal[];
  /** In `--smoke`: the same kind of bound, with slack for a busy CI machine. */
  readonly smoke?: Goal;
}

/** A run of qb-load against the echo servers or the answer servers. */
export interface LoadScenario extends Named {
  readonly kind: "load";
  /** Flags of the echo servers (qb-echo-server.c): how they answer; unless there are guests. */
  readonly echo?: readonly string[];
  /** Flags of qb-load; how long or how many is added. */
  readonly flags: readonly string[];
  /** A fixed number of round trips instead of a time: for connects. */
  readonly requests?: number;
  /** Flags of a second qb-load that runs beside: idle connections, or a flood. */
  readonly beside?: readonly string[];
  /** Measured without the load beside first, so that what that does can be told. */
  readonly alone?: boolean;
  /** qb-load flags of one request, asked before everything else: what there must be to ask for. */
  readonly prepare?: readonly string[];
  /** Guests in the tree of an answer server. */
  readonly guests?: number;
}

/** Nothing happens for a while, with so many connections open. */
export interface IdleScenario extends Named {
  readonly kind: "idle";
  readonly connections: number;
}

/** Exec to first answer, with so many files in the tree; echo servers where it is undefined. */
export interface StartScenario extends Named {
  readonly kind: "start";
  readonly files?: number;
}

/** Private memory at rest and with connections. */
export interface MemoryScenario extends Named {
  readonly kind: "memory";
  readonly connections: number;
}

/** Private memory with few and with many files of one size, which both servers hold. */
export interface FilesScenario extends Named {
  readonly kind: "files";
  readonly few: number;
  readonly many: number;
}

/** One process on the mount of a node without a cluster. */
export interface MountScenario extends Named {
  readonly kind: "mount";
  /** Of test/native/mount-load.c; `ipc`: round trips of GET_FS_VERSION instead. */
  readonly operation: string;
  /** The operation of a second process meanwhile. */
  readonly beside?: string;
  /** Options of our server; the C server runs as it is. */
  readonly options?: readonly string[];
}

export type Scenario =
  | LoadScenario
  | IdleScenario
  | StartScenario
  | MemoryScenario
  | FilesScenario
  | MountScenario;
