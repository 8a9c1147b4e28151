/**
 * Copies of the database that a thread makes (copy-worker.ts) while the event loop runs; one at a
 * time. SQLite cannot be interrupted while it copies, so the thread of an abandoned copy is not
 * waited for: it removes its draft, and ends by itself.
 */
import { WAITS, type Steps } from "../../base/steps.ts";
import { threadFile } from "../../platform/self.ts";
import type { CopyRequest } from "./copy-worker.ts";
import type { DatabasePlace } from "./thread-database.ts";
import { TransactionState } from "./transaction-state.ts";
import type { KeptCopy } from "./upkeep.ts";

const WORKER = threadFile(
  new URL("./copy-worker.ts", import.meta.url),
  "src/pmxcfs/store/copy-worker.ts",
);

/** Limit of the wait for the thread of an abandoned copy at the stop. */
const STOP_MS = 3_000;

export class ThreadCopies implements Disposable {
  /** Of the last copy. */
  #state: TransactionState | undefined;

  /**
   * As keepCopy (upkeep.ts), of everything that is committed; nothing may be written meanwhile.
   * Steps that are ended early return at once; the next copy waits for the end of their thread.
   */
  *copy(place: DatabasePlace, reason: string): Steps<KeptCopy> {
    while (this.#state?.outcome === "pending") yield WAITS;
    const state = new TransactionState();
    this.#state = state;
    const worker = new Worker(WORKER);
    worker.addEventListener("error", ({ message }) => state.end("failed", message), { once: true });
    worker.addEventListener("message", () => worker.terminate(), { once: true });
    try {
      const request: CopyRequest = { ...place, reason, shared: state.shared };
      worker.postMessage(request);
      while (state.outcome === "pending") yield WAITS;
      return state.outcome === "committed" ? { path: state.text } : { problem: state.text };
    } finally {
      if (state.outcome === "pending") state.giveUp();
    }
  }

  /** Abandons a copy, and waits for its thread: then the caller's is the last connection. */
  [Symbol.dispose](): void {
    if (this.#state?.outcome !== "pending") return;
    this.#state.giveUp();
    this.#state.wait(STOP_MS);
  }
}
