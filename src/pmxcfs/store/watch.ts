/**
 * Whether something happened to a file or to its companions (-wal, -journal) since the last
 * question: one system call when nothing did. A writer's event may come before what it did can be
 * seen, so the answer stays yes for a while; and it is yes now and then in any case, for what
 * inotify does not tell.
 */
import { realpathSync } from "node:fs";
import { basename, dirname } from "node:path";
import { Inotify } from "../../platform/inotify.ts";

/** After an event: a commit is written to the -wal first, and published in shared memory then. */
const HOT_MS = 100;
/** Without an event. */
const CHECK_MS = 100;

export class FileStir implements Disposable {
  readonly #inotify: Inotify | undefined;
  readonly #watched: boolean;
  readonly #name: string;
  #hotUntil: number;
  #checkedAt: number;

  constructor(path: string) {
    const file = realpathSync(path);
    this.#name = basename(file);
    this.#inotify = Inotify.open();
    this.#watched = (this.#inotify?.watch(dirname(file)) ?? -1) >= 0;
    this.#checkedAt = performance.now();
    this.#hotUntil = this.#checkedAt + HOT_MS;
  }

  /** False: nothing happened, and it is not time for a look in any case. */
  happened(): boolean {
    if (!this.#watched) return true;
    this.#inotify?.drain(this.#note);
    const now = performance.now();
    if (now > this.#hotUntil && now - this.#checkedAt < CHECK_MS) return false;
    this.#checkedAt = now;
    return true;
  }

  [Symbol.dispose](): void {
    this.#inotify?.[Symbol.dispose]();
  }

  readonly #note = (_watch: number, _mask: number, name: string): void => {
    // An event without a name is of the directory itself, or says that events were lost.
    if (name === "" || Buffer.from(name, "latin1").toString("utf8").startsWith(this.#name)) {
      this.#hotUntil = performance.now() + HOT_MS;
    }
  };
}
