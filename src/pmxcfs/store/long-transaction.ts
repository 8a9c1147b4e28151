/**
 * A transaction that is too long for the event loop: its rows are handed in steps to a thread
 * (transaction-worker.ts), which writes and commits them while the loop runs.
 */
import { WAITS, type Steps } from "../../base/steps.ts";
import { threadFile } from "../../platform/self.ts";
import type { RowChange, RowImage } from "./row-writer.ts";
import type { DatabasePlace } from "./thread-database.ts";
import { TransactionState, type PartRow, type TransactionPart } from "./transaction-state.ts";

const WORKER = threadFile(
  new URL("./transaction-worker.ts", import.meta.url),
  "src/pmxcfs/store/transaction-worker.ts",
);

/** Rows of one message, and bytes of their content. */
const PART_ROWS = 64;
const PART_BYTES = 128 * 1024;
/** The cost of a message in steps (base/steps.ts). */
const PART_STEPS = 6;
/** Limit of the wait for a transaction that is abandoned, since it has the database's lock. */
const END_MS = 30_000;

/** Where a transaction is written. */
export interface TransactionPlace extends DatabasePlace {
  /** `full`: fsync at the commit. */
  readonly sync: "normal" | "full";
}

/** How a transaction ended, and why it failed. */
export interface TransactionEnd {
  readonly outcome: "committed" | "busy" | "failed";
  readonly text: string;
}

/** Why no change is made after that. */
export const UNDECIDED =
  "a sync was ended while the disk did not answer, and may still be written: restart this server";

/** A transaction that was abandoned while its COMMIT did not end: it may still be committed. */
export class AbandonedTransaction {
  readonly #state: TransactionState;
  readonly #worker: Worker;

  constructor(state: TransactionState, worker: Worker) {
    this.#state = state;
    this.#worker = worker;
    // The thread does not keep the process alive.
    worker.unref();
  }

  /** False once it is known that nothing was written; then the thread is ended. */
  mayBeWritten(): boolean {
    const { outcome } = this.#state;
    if (outcome === "pending" || outcome === "committed") return true;
    this.#worker.terminate();
    return false;
  }
}

/**
 * Writes a change (row 0 among `replaced`). `committed` is called as soon as it is committed. When
 * the steps are ended while the thread commits, the end of that is awaited, and `committed` called;
 * after 30 s `abandoned` is called instead.
 */
export function* longTransaction(
  place: TransactionPlace,
  { deleted, replaced }: Pick<RowChange, "deleted" | "replaced">,
  committed: () => void,
  abandoned: (transaction: AbandonedTransaction) => void,
): Steps<TransactionEnd> {
  const state = new TransactionState();
  const worker = new Worker(WORKER);
  worker.addEventListener("error", ({ message }) => state.end("failed", message), { once: true });
  const post = (part: TransactionPart, transferred: ArrayBuffer[] = []): void => {
    worker.postMessage(part, transferred);
  };
  let isReported = false;
  const end = (): TransactionEnd => {
    const { outcome } = state;
    if (outcome === "committed" && !isReported) committed();
    isReported = true;
    return { outcome: outcome === "pending" ? "failed" : outcome, text: state.text };
  };
  try {
    post({ kind: "begin", ...place, shared: state.shared });
    for (let from = 0; from < deleted.length; from += PART_ROWS) {
      const part = deleted.slice(from, from + PART_ROWS);
      post({ kind: "rows", deleted: part, rows: [], data: new Uint8Array(0) });
      yield undefined;
    }
    for (const { rows, data } of parts(replaced)) {
      post({ kind: "rows", deleted: [], rows, data }, [data.buffer]);
      yield PART_STEPS;
    }
    post({ kind: "end" });
    while (state.outcome === "pending") yield WAITS;
    return end();
  } finally {
    if (state.outcome === "pending") {
      state.giveUp();
      post({ kind: "end" });
      state.wait(END_MS);
      end();
    }
    if (state.outcome === "pending") abandoned(new AbandonedTransaction(state, worker));
    else worker.terminate();
  }
}

/** Rows in messages. Content is copied, since a view may belong to a much larger buffer. */
function* parts(
  rows: readonly RowImage[],
): Generator<{ readonly rows: PartRow[]; readonly data: Uint8Array<ArrayBuffer> }> {
  for (let from = 0; from < rows.length;) {
    const part: RowImage[] = [];
    let bytes = 0;
    for (let at = from; at < rows.length && part.length < PART_ROWS; at++) {
      const row = rows[at];
      if (row === undefined || (bytes > 0 && bytes + (row.data?.length ?? 0) > PART_BYTES)) break;
      part.push(row);
      bytes += row.data?.length ?? 0;
    }
    from += part.length;
    const data = new Uint8Array(bytes);
    let filled = 0;
    const sent: PartRow[] = [];
    for (const { data: content, ...row } of part) {
      sent.push({ ...row, length: content?.length });
      if (content !== null) data.set(content, filled);
      filled += content?.length ?? 0;
    }
    yield { rows: sent, data };
  }
}
