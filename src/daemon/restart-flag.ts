/**
 * The restart flag: while this file exists, PVE's clients retry a failed connect for 10 s
 * (IPCC.xs). It is made at a clean stop and removed when the service is up again. C counterpart:
 * RESTART_FLAG_FILE in pmxcfs.c.
 */
import { errorCode } from "../base/error-text.ts";
import { closeSync, constants, fchownSync, openSync, rmSync } from "node:fs";
import type { Log } from "../base/log.ts";

/** Readable by root and www-data, who have access to the service. */
const MODE = 0o440;

/**
 * Delay of the removal: a client whose connect failed just before we listened checks for the file
 * only afterwards, and must still find it.
 */
const LINGER_MS = 1000;

const CREATE =
  constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | (constants.O_NOFOLLOW ?? 0);

/** The flag of one server. Its directory is not made: where it is missing, nobody uses the flag. */
export class RestartFlag {
  readonly #path: string;
  readonly #gid: number | undefined;
  readonly #log: Log;
  #removal: Timer | undefined;

  /** `gid`: the group that may read it; default: this process's. */
  constructor(path: string, gid: number | undefined, log: Log) {
    this.#path = path;
    this.#gid = gid;
    this.#log = log;
  }

  /** To be called when the service listens: removes the file after LINGER_MS. */
  up(): void {
    this.#removal = setTimeout(() => this.#remove(), LINGER_MS);
    this.#removal.unref();
  }

  /** To be called before the service stops listening: makes the file. */
  down(): void {
    clearTimeout(this.#removal);
    let file: number;
    try {
      file = openSync(this.#path, CREATE, MODE);
    } catch (error) {
      const code = errorCode(error);
      // The previous stop's file is still there, or the host has no such directory.
      if (code === "EEXIST" || code === "ENOENT") return;
      this.#log.warn(`cannot make ${this.#path}: clients will not wait for a restart (${code})`);
      return;
    }
    try {
      if (process.getuid?.() === 0 && this.#gid !== undefined) fchownSync(file, 0, this.#gid);
    } catch (error) {
      this.#log.warn(`cannot give ${this.#path} to group ${this.#gid} (${errorCode(error)})`);
    } finally {
      closeSync(file);
    }
  }

  #remove(): void {
    try {
      rmSync(this.#path, { force: true });
    } catch (error) {
      this.#log.warn(
        `cannot remove ${this.#path}: when this server is gone, clients wait 10 s for it to come ` +
          `back (${errorCode(error)})`,
      );
    }
  }
}
