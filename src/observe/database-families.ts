/** Metrics of the database that a server writes: waiting changes, WAL, checkpoints, failures. */
import type { MetricRegistry, Reading } from "./registry.ts";

const MS_PER_SECOND = 1000;

/** State of the database that a server writes. */
export interface StoreReading {
  /** Changes that are answered but not in the database yet, and the bytes of their journal. */
  readonly waiting: number;
  readonly journalBytes: number;
  readonly walBytes: number;
  readonly checkpoints: number;
  readonly checkpointFailures: number;
  /** ms since 1970; 0: none yet. */
  readonly checkpointedAt: number;
  readonly commitFailures: number;
}

const STORE_GAUGES = [
  [
    "waiting_changes",
    "Changes in the journal that are not in config.db yet.",
    ({ waiting }) => waiting,
  ],
  ["journal_bytes", "Size of this journal.", ({ journalBytes }) => journalBytes],
  ["wal_bytes", "Size of config.db-wal.", ({ walBytes }) => walBytes],
  [
    "checkpoint_timestamp_seconds",
    "When the WAL was last moved into config.db completely, in seconds since 1970; 0: not yet.",
    ({ checkpointedAt }) => checkpointedAt / MS_PER_SECOND,
  ],
] as const satisfies readonly StoreFamily[];

const STORE_COUNTERS = [
  ["checkpoints_total", "Complete checkpoints of the WAL.", (store) => store.checkpoints],
  ["checkpoint_failures_total", "Failed checkpoints.", (store) => store.checkpointFailures],
  ["commit_failures_total", "Changes that could not be written.", (store) => store.commitFailures],
] as const satisfies readonly StoreFamily[];

type StoreFamily = readonly [name: string, help: string, value: (store: StoreReading) => number];

/** Adds `pmxcfs_ipc_store_...`, which have no values while `read` returns undefined. */
export function aboutDatabase(metrics: MetricRegistry, read: () => StoreReading | undefined): void {
  const one = (value: StoreFamily[2]) => (): Reading => {
    const now = read();
    return now === undefined ? [] : value(now);
  };
  for (const [name, help, value] of STORE_GAUGES) metrics.gauge(`store_${name}`, help, one(value));
  for (const [name, help, value] of STORE_COUNTERS) {
    metrics.counter(`store_${name}`, help, one(value));
  }
}
