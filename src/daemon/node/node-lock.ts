/**
 * The lock of a node's database: flock(2) on a file beside it, as in C, so that the C server and
 * this one exclude each other. Held until the process ends; a removed lock file is made again.
 */
import { closeSync, constants, fstatSync, statSync } from "node:fs";
import { errorText } from "../../base/error-text.ts";
import { Errno, errnoText } from "../../base/errno.ts";
import { LogOnce } from "../../base/log-once.ts";
import type { Log } from "../../base/log.ts";
import { lockFile } from "../../platform/files.ts";
import { openRegularFile } from "../../platform/regular-file.ts";

/** C tries once a second for 10 s. Shorter steps over the same time make a restart faster. */
const TRIES = 101;
const BETWEEN_TRIES_MS = 100;

const FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND;

/** Opens and locks the file; a negative errno when it cannot be locked. */
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
   * Takes the lock within 10 s, so that a start waits for the end of the previous server; a string
   * says why that failed. `inUse` describes a server that runs without the lock; its end is waited
   * for as well.
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

  /** Some recipes remove the lock file of a running server: makes and locks a new one, or logs. */
  check(): void {
    try {
      if (isSame(this.path, this.#fd)) {
        this.#complaint.clear();
        return;
      }
      const fd = openLocked(this.path);
      if (fd < 0) {
        const who = fd === Errno.EAGAIN ? "another process has locked the new one" : errnoText(fd);
        this.#complaint.say(`${this.path} was replaced while this server runs: ${who}`);
        return;
      }
      closeSync(this.#fd);
      this.#fd = fd;
      this.#log.warn(`${this.path} was removed while this server runs: made and locked again`);
    } catch (error) {
      this.#complaint.say(`${this.path} cannot be checked: ${errorText(error)}`);
    }
  }

  /** The file stays, as in C: removing it would let two servers lock two different files. */
  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
