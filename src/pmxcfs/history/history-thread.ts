/** The recorder's end of the thread that writes the history: one job at a time. */
import { threadFile } from "../../platform/self.ts";
import type { HistoryAnswer, HistoryJob } from "./history-worker.ts";

const WORKER = threadFile(
  new URL("./history-worker.ts", import.meta.url),
  "src/pmxcfs/history/history-worker.ts",
);

export class HistoryThread {
  #worker: Worker | undefined;
  #answered: ((answer: HistoryAnswer) => void) | undefined;

  /** A job is being done: `ask` must not be called. */
  get isBusy(): boolean {
    return this.#answered !== undefined;
  }

  /** Has the thread do `job`. `failed` when it could not, or when the thread has crashed. */
  async ask(job: HistoryJob): Promise<HistoryAnswer> {
    const worker = (this.#worker ??= this.#start());
    return await new Promise((resolve) => {
      this.#answered = resolve;
      worker.postMessage(job);
    });
  }

  terminate(): void {
    this.#worker?.terminate();
  }

  #start(): Worker {
    const worker = new Worker(WORKER);
    worker.unref();
    worker.addEventListener("message", ({ data }) => this.#take(data as HistoryAnswer));
    worker.addEventListener("error", ({ message }) => {
      // It takes no further job: the next one gets another thread.
      if (worker !== this.#worker) return;
      worker.terminate();
      this.#worker = undefined;
      this.#take({ kind: "failed", reason: message });
    });
    return worker;
  }

  #take(answer: HistoryAnswer): void {
    const answered = this.#answered;
    this.#answered = undefined;
    answered?.(answer);
  }
}
