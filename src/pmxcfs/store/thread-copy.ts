/** A copy of the database that a thread makes (copy-worker.ts) while the event loop runs. */
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

/** A copy whose steps are ended is waited for: terminated, the thread would leave a draft. */
const END_MS = 30_000;

/** As keepCopy (upkeep.ts), of everything that is committed; nothing may be written meanwhile. */
export function* copyInSteps(place: DatabasePlace, reason: string): Steps<KeptCopy> {
  const state = new TransactionState();
  const worker = new Worker(WORKER);
  worker.addEventListener("error", ({ message }) => state.end("failed", message), { once: true });
  try {
    const request: CopyRequest = { ...place, reason, shared: state.shared };
    worker.postMessage(request);
    while (state.outcome === "pending") yield WAITS;
    return state.outcome === "committed" ? { path: state.text } : { problem: state.text };
  } finally {
    if (state.outcome === "pending") state.wait(END_MS);
    worker.terminate();
  }
}
