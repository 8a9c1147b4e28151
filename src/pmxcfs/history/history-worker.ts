/**
 * The thread that writes the history, so that hashing, compressing and disk never block the event
 * loop. One job at a time, answered in order; recorder.ts is the other end.
 */
import { errorText } from "../../base/error-text.ts";
import type { HistoryChange, LastKnown } from "./change.ts";
import { type HistoryFile, HistoryWriter } from "./writer.ts";

export type HistoryJob =
  | { readonly kind: "open"; readonly options: HistoryFile }
  | { readonly kind: "write"; readonly changes: readonly HistoryChange[] }
  | { readonly kind: "prune" }
  | { readonly kind: "close" };

export type HistoryAnswer =
  | { readonly kind: "opened"; readonly known: LastKnown; readonly notice: string | undefined }
  | { readonly kind: "written" }
  | { readonly kind: "pruned"; readonly more: boolean }
  | { readonly kind: "closed" }
  | { readonly kind: "failed"; readonly reason: string };

/** The worker's own scope. */
interface Thread {
  onmessage: ((event: { readonly data: HistoryJob }) => void) | null;
  postMessage(answer: HistoryAnswer): void;
}

let writer: HistoryWriter | undefined;

function close(): void {
  writer?.[Symbol.dispose]();
  writer = undefined;
}

function opened(): HistoryWriter {
  if (writer === undefined) throw new Error("the history is not open");
  if (writer.replaced) throw new Error("another file is in its place");
  return writer;
}

function answer(job: HistoryJob): HistoryAnswer {
  switch (job.kind) {
    case "open":
      close();
      writer = HistoryWriter.open(job.options);
      return { kind: "opened", known: writer.lastKnown(), notice: writer.notice };
    case "write":
      opened().write(job.changes);
      return { kind: "written" };
    case "prune":
      return { kind: "pruned", more: opened().prune(Date.now()) };
    case "close":
      close();
      return { kind: "closed" };
    default:
      return job satisfies never;
  }
}

const thread = globalThis as unknown as Thread;
thread.onmessage = ({ data: job }) => {
  try {
    thread.postMessage(answer(job));
  } catch (error) {
    thread.postMessage({ kind: "failed", reason: errorText(error) });
  }
};
