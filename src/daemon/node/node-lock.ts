/**
 * The lock of a node's database: flock(2) on a file beside it, as C takes it, so that C and this
 * server exclude each other. Held until the very end; put back when somebody removes the file.
 */
import { closeSync, constants, fstatSync, statSync } from "node:fs";
import { errorText } from "../../base/error-text.ts";
import { Errno, errnoText } from "../../base/errno.ts";
import { LogOnce } from "../../base/log-once.ts";
import type { Log } from "../../base/log.ts";
import { lockFile } from "../../platform/files.ts";
import { openRegularFile } from "../../platform/regular-file.ts";

/** C tries for 10 s, once a second. More often, a restart need not wait for its next try. */
const TRIES = 101;
const BETWEEN_TRIES_MS = 100;

const FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND;

/** Opens and locks the file; a negative errno when another process has it. */
function openLocked(path: string): number {
  const fd = openRegularFile(path, FLAGS, 0o600);
  const locked = lockFile(fd);
  if (locked === 0) return fd;
  closeSync(fd);
  return locked;
}

/** Whether `path` still names the file that is open as `fd`. */
function isSame(path: string, fd: number): boolean {
  const there = statSync(path, { throwIfNoEntry: false });
  const ours = fstatSync(fd);
  return there?.ino === ours.ino && there.dev === ours.dev;
}

export class NodeLock implements Disposable {
  readonly path: string;
  readonly #log: Log;
  readonly #complaint: LogOnce;
  #fd: number;

  private constructor(path: string, fd: number, log: Log) {
    this.path = path;
    this.#fd = fd;
    this.#log = log;
    this.#complaint = new LogOnce((line) => log.error(line));
  }

  /**
   * Takes the lock, within 10 s, so that a start waits for the end of the server before. A
   * line that says why not. `inUse` tells of a server that works without the lock: then it is
   * waited for as for the lock itself.
   */
  static async take(
    path: string,
    log: Log,
    inUse: () => string | undefined,
  ): Promise<NodeLock | string> {
    let reason = "";
    for (let attempt = 1; attempt <= TRIES; attempt++) {
      if (attempt > 1) await Bun.sleep(BETWEEN_TRIES_MS);
      try {
        const fd = openLocked(path);
        if (fd >= 0) {
          const other = isSame(path, fd) ? inUse() : "the lock file was replaced";
          if (other === undefined) return new NodeLock(path, fd, log);
          closeSync(fd);
          reason = other;
        } else {
          reason = `unable to acquire pmxcfs lock: ${errnoText(fd)}`;
        }
      } catch (error) {
        return `unable to create pmxcfs lock '${path}': ${errorText(error)}`;
      }
      if (attempt === 1) log.info(`unable to acquire pmxcfs lock - trying again`);
    }
    const other = inUse();
    return other === undefined || other === reason ? reason : `${reason}\n${other}`;
  }

  /** Recipes remove the file of a server that runs: it is put back, or that is said. */
  check(): void {
    try {
      if (isSame(this.path, this.#fd)) {
        this.#complaint.clear();
        return;
      }
      const fd = openLocked(this.path);
      if (fd < 0) {
        const who = fd === Errno.EAGAIN ? "another process has locked the new one" : errnoText(fd);
        this.#complaint.say(`${this.path} was replaced under a running server: ${who}`);
        return;
      }
      closeSync(this.#fd);
      this.#fd = fd;
      this.#log.warn(`${this.path} was removed under a running server: made and locked again`);
    } catch (error) {
      this.#complaint.say(`${this.path} cannot be looked after: ${errorText(error)}`);
    }
  }

  /** The file stays, as C leaves it: removing it would let two servers lock two files. */
  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
