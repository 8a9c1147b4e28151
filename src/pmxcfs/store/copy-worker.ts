/** The thread that makes one copy of the database (thread-copy.ts), and ends with it. */
import { errorText } from "../../base/error-text.ts";
import { openInThread, type DatabasePlace } from "./thread-database.ts";
import { TransactionState } from "./transaction-state.ts";
import { keepCopy } from "./upkeep.ts";

/** The one message to the thread. */
export interface CopyRequest extends DatabasePlace {
  readonly reason: string;
  readonly shared: SharedArrayBuffer;
}

/** The global scope of the thread. */
interface Thread {
  onmessage: ((event: { readonly data: CopyRequest }) => void) | null;
}

(globalThis as unknown as Thread).onmessage = ({ data }) => {
  const state = new TransactionState(data.shared);
  try {
    using database = openInThread(data);
    const copy = keepCopy(database, data.file, data.reason);
    if ("path" in copy) state.end("committed", copy.path);
    else state.end("failed", copy.problem);
  } catch (error) {
    state.end("failed", errorText(error));
  }
};
