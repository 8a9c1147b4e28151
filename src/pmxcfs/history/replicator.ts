/** A Replicator that reports its changes to the history, with the process that requested each. */
import type { Errno } from "../../base/errno.ts";
import { commandOf } from "../../platform/processes.ts";
import type { Replicator, Requester } from "../replication/replicator.ts";
import type { LogEntry } from "../state/cluster-log.ts";
import type { TreeCommand } from "../state/tree-command.ts";
import type { Author } from "./change.ts";

/** Receives the changes: HistoryRecorder. */
export interface ChangeRecorder {
  by<T>(author: Author | undefined, paths: readonly string[], change: () => T): T;
}

/** How long a process's name is remembered, ms: a pid is not reused that soon. */
const NAME_MS = 1_000;
/** Names that are remembered. */
const NAMES = 256;

export class RecordedReplicator implements Replicator {
  readonly #inner: Replicator;
  readonly #recorder: ChangeRecorder;
  readonly #names = new Map<number, { readonly author: Author; readonly untilMs: number }>();

  constructor(inner: Replicator, recorder: ChangeRecorder) {
    this.#inner = inner;
    this.#recorder = recorder;
  }

  get quorate(): boolean {
    return this.#inner.quorate;
  }

  propose(command: TreeCommand, by?: Requester, signal?: AbortSignal): number | Promise<number> {
    const paths = command.kind === "rename" ? [command.path, command.to] : [command.path];
    return this.#recorder.by(this.#authorOf(by), paths, () =>
      this.#inner.propose(command, by, signal),
    );
  }

  flush(): 0 | Errno {
    return this.#inner.flush();
  }

  setStatus(name: string, data: Uint8Array): 0 | Errno {
    return this.#inner.setStatus(name, data);
  }

  log(message: LogEntry): void {
    this.#inner.log(message);
  }

  #authorOf(by: Requester | undefined): Author | undefined {
    if (by === undefined || by.pid === 0) return undefined;
    const now = performance.now();
    const known = this.#names.get(by.pid);
    if (known !== undefined && known.untilMs > now && known.author.uid === by.uid) {
      return known.author;
    }
    if (this.#names.size >= NAMES) this.#names.clear();
    const author = { pid: by.pid, uid: by.uid, command: commandOf(by.pid) };
    this.#names.set(by.pid, { author, untilMs: now + NAME_MS });
    return author;
  }
}
