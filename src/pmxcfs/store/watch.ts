/**
 * Whether a file or its companions (-wal, -journal) may have changed since the last question: one
 * system call when they did not. A writer's event may come before what it wrote can be seen, so
 * the answer stays yes for a while; and it is yes now and then in any case, for what inotify does
 * not report.
 */
import { realpathSync } from "node:fs";
import { basename, dirname } from "node:path";
import { Inotify } from "../../platform/inotify.ts";

/** After an event: a commit is a series of writes. */
const ACTIVE_MS = 100;
/** Without an event. */
const CHECK_MS = 100;

export class FileWatch implements Disposable {
  readonly #inotify: Inotify | undefined;
  readonly #watched: boolean;
  readonly #name: string;
  #activeUntil: number;
  #checkedAt: number;

  /** Throws when there is no such file. */
  constructor(path: string) {
    const file = realpathSync(path);
    this.#name = basename(file);
    this.#inotify = Inotify.open();
    this.#watched = (this.#inotify?.watch(dirname(file)) ?? -1) >= 0;
    this.#checkedAt = performance.now();
    this.#activeUntil = this.#checkedAt + ACTIVE_MS;
  }

  /** False: no event, and it is not time for a look in any case. */
  changedSinceLastCheck(): boolean {
    if (!this.#watched) return true;
    this.#inotify?.drain(this.#note);
    const now = performance.now();
    if (now > this.#activeUntil && now - this.#checkedAt < CHECK_MS) return false;
    this.#checkedAt = now;
    return true;
  }

  [Symbol.dispose](): void {
    this.#inotify?.[Symbol.dispose]();
  }

  readonly #note = (_watch: number, _mask: number, name: string): void => {
    // An event without a name is of the directory itself, or says that events were lost.
    if (name === "" || Buffer.from(name, "latin1").toString("utf8").startsWith(this.#name)) {
      this.#activeUntil = performance.now() + ACTIVE_MS;
    }
  };
}
