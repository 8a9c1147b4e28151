/**
 * Finds out whether a file or its companions (-wal, -journal) may have changed since the last
 * check, with one system call. An event may arrive before the data is visible, so the answer stays
 * true for a while after one. Every 100 ms it is true in any case, for changes without an event.
 */
import { realpathSync } from "node:fs";
import { basename, dirname } from "node:path";
import { Inotify } from "../../platform/inotify.ts";

/** How long the answer is true after an event: a commit is a series of writes. */
const ACTIVE_MS = 100;
/** How often the answer is true without an event. */
const CHECK_MS = 100;

export class FileWatch implements Disposable {
  readonly #inotify: Inotify | undefined;
  /** inotify's number, negative when the directory is not watched. */
  #watch = -1;
  #name = "";
  #activeUntil: number;
  #checkedAt: number;

  /** Throws when there is no such file. */
  constructor(path: string) {
    const file = realpathSync(path);
    this.#inotify = Inotify.open();
    this.follow(file);
    this.#checkedAt = performance.now();
    this.#activeUntil = this.#checkedAt + ACTIVE_MS;
  }

  /** The file is at this path now, perhaps in another directory that has the same path. */
  follow(file: string): void {
    const watch = this.#inotify?.watch(dirname(file)) ?? -1;
    if (this.#watch >= 0 && this.#watch !== watch) this.#inotify?.unwatch(this.#watch);
    this.#watch = watch;
    this.#name = basename(file);
  }

  /** False when no event came and no check is due. */
  changedSinceLastCheck(): boolean {
    if (this.#watch < 0) return true;
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
    // An event without a name is about the directory itself, or about lost events.
    if (name === "" || Buffer.from(name, "latin1").toString("utf8").startsWith(this.#name)) {
      this.#activeUntil = performance.now() + ACTIVE_MS;
    }
  };
}
