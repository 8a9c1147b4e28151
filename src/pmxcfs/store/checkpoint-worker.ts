/**
 * The checkpoint thread: moves pages from the WAL into config.db, with fsync (66 ms for a thousand
 * pages were measured), while the event loop runs. Started by checkpointer.ts; one job at a time,
 * each with its own connection.
 */
import { errorText } from "../../base/error-text.ts";
import { openInThread, type DatabasePlace } from "./thread-database.ts";

/**
 * passive: what no reader needs, while others write. truncate: everything, and the WAL becomes 0
 * bytes; nothing can be written meanwhile. Neither waits for readers or writers.
 */
export type CheckpointMode = "passive" | "truncate";

/** A message to the thread. */
export interface CheckpointJob extends DatabasePlace {
  readonly mode: CheckpointMode;
  /** [0] becomes 0 when the job is over, for a caller that blocks in Atomics.wait. */
  readonly running: Int32Array<SharedArrayBuffer>;
}

/**
 * The thread's answer: pages in the WAL and pages moved, both -1 while another process checkpoints;
 * or why nothing was done.
 */
export type CheckpointResult =
  | { readonly pages: number; readonly moved: number; readonly error?: undefined }
  | { readonly error: string };

/** SQLite's answer to the pragma: busy, pages in the WAL, pages moved. */
type PragmaRow = [busy: number, pages: number, moved: number];

/** The global scope of the thread. */
interface Thread {
  onmessage: ((event: { readonly data: CheckpointJob }) => void) | null;
  postMessage(result: CheckpointResult): void;
}

function checkpoint({ mode, ...place }: CheckpointJob): CheckpointResult {
  try {
    using database = openInThread(place);
    database.run("PRAGMA busy_timeout = 0");
    database.run("PRAGMA synchronous = NORMAL");
    using statement = database.prepare(`PRAGMA wal_checkpoint(${mode.toUpperCase()})`);
    const [, pages, moved] = statement.values()[0] as PragmaRow;
    return { pages, moved };
  } catch (error) {
    return { error: errorText(error) };
  }
}

const thread = globalThis as unknown as Thread;
thread.onmessage = ({ data: job }) => {
  const result = checkpoint(job);
  Atomics.store(job.running, 0, 0);
  Atomics.notify(job.running, 0);
  thread.postMessage(result);
};
