/**
 * The scenarios of the benchmark, as data. A scenario defines the servers, the load and, for what
 * docs/internals/scheduling.md and the README promise, goals for the ratio to the C server.
 */

/** The results of one run of a scenario on one server. Times in ns unless the name has a unit. */
export interface Measured {
  perSecond?: number;
  p50?: number;
  p99?: number;
  p999?: number;
  max?: number;
  /** The same load without the second load. */
  perSecondAlone?: number;
  p99Alone?: number;
  /** What the second load adds to the p99 in ns, and takes from the round trips in %. */
  p99Added?: number;
  slowedBy?: number;
  /** Server CPU per 100,000 round trips, ms. */
  cpuMsPer100k?: number;
  /** Server CPU per connect and disconnect, us. */
  cpuUsPerConnect?: number;
  /** Idle: CPU in ms per second, and wake-ups per second. */
  idleCpuMs?: number;
  wakeups?: number;
  /** Time from exec to the first answer, ms. */
  startMs?: number;
  /** Private memory at rest, and per connection, KiB. */
  restKiB?: number;
  connectionKiB?: number;
  /** Private memory per 1,000 files, KiB. */
  filesKiB?: number;
}

export type Metric = keyof Measured;

/**
 * A goal: a bound on our value divided by C's or the floor's, or an upper bound on our value.
 */
export interface Goal {
  readonly metric: Metric;
  /** The divisor; default: C's. */
  readonly divisor?: "c" | "floor";
  readonly atLeast?: number;
  readonly atMost?: number;
  readonly below?: number;
}

interface Named {
  readonly name: string;
  readonly group: string;
  readonly goals?: readonly Goal[];
  /** The bound for `--smoke`, with slack for a busy CI host. */
  readonly smoke?: Goal;
}

/** A run of qb-load against the echo servers or the answer servers. */
export interface LoadScenario extends Named {
  readonly kind: "load";
  /** Flags of the echo servers (qb-echo-server.c), which are used if `guests` is not given. */
  readonly echo?: readonly string[];
  /** Flags of qb-load, without the duration or number of requests. */
  readonly flags: readonly string[];
  /** A fixed number of round trips instead of a duration, for connects. */
  readonly requests?: number;
  /** Flags of a second qb-load that runs at the same time: idle connections, or a flood. */
  readonly beside?: readonly string[];
  /** First measures without the second load, to show its effect. */
  readonly alone?: boolean;
  /** qb-load flags of a request that is sent first, to set up what the measured requests read. */
  readonly prepare?: readonly string[];
  /** Guests in the tree of an answer server. */
  readonly guests?: number;
}

/** An idle server with this many open connections. */
export interface IdleScenario extends Named {
  readonly kind: "idle";
  readonly connections: number;
}

/** Time from exec to the first answer, with `files` in the tree; undefined: of echo servers. */
export interface StartScenario extends Named {
  readonly kind: "start";
  readonly files?: number;
}

/** Private memory at rest and with connections. */
export interface MemoryScenario extends Named {
  readonly kind: "memory";
  readonly connections: number;
}

/** Private memory with few and with many files of one size. */
export interface FilesScenario extends Named {
  readonly kind: "files";
  readonly few: number;
  readonly many: number;
}

/** The load of one process on the mount of a node without a cluster. */
export interface MountScenario extends Named {
  readonly kind: "mount";
  /** An operation of test/native/mount-load.c, or `ipc`: round trips of one client. */
  readonly operation: string;
  /** For `ipc`: qb-load flags of the request; default: GET_FS_VERSION. */
  readonly flags?: readonly string[];
  /** For `ipc`: as in LoadScenario. */
  readonly prepare?: readonly string[];
  /** Guests that are made on the mount first. */
  readonly guests?: number;
  /** The operation of a second process at the same time. */
  readonly beside?: string;
  /** Options of our server; the C server gets none. */
  readonly options?: readonly string[];
}

export type Scenario =
  | LoadScenario
  | IdleScenario
  | StartScenario
  | MemoryScenario
  | FilesScenario
  | MountScenario;
