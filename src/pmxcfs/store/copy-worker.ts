/** The thread that makes one copy of the database (thread-copy.ts). */
import { errorText } from "../../base/error-text.ts";
import { openInThread, type DatabasePlace } from "./thread-database.ts";
import { TransactionState } from "./transaction-state.ts";
import { keepCopy, type KeptCopy } from "./upkeep.ts";

/** The one message to the thread. */
export interface CopyRequest extends DatabasePlace {
  readonly reason: string;
  readonly shared: SharedArrayBuffer;
}

/** The global scope of the thread. */
interface Thread {
  onmessage: ((event: { readonly data: CopyRequest }) => void) | null;
  /** Without content: the thread may be terminated. */
  postMessage(over: undefined): void;
}

function copied(request: CopyRequest, state: TransactionState): KeptCopy {
  try {
    if (state.isGivenUp) throw new Error("given up");
    using database = openInThread(request);
    return keepCopy(database, request.file, request.reason, () => state.isGivenUp);
  } catch (error) {
    return { problem: errorText(error) };
  }
}

const thread = globalThis as unknown as Thread;
thread.onmessage = ({ data: request }) => {
  const state = new TransactionState(request.shared);
  const copy = copied(request, state);
  // After the connection was closed: the server's is the last one when it stops.
  if ("path" in copy) state.end("committed", copy.path);
  else state.end("failed", copy.problem);
  thread.postMessage(undefined);
};
