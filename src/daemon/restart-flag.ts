/**
 * The file by which PVE's clients distinguish a restart from a server that is gone: while it exists
 * they retry their connect for ten seconds (IPCC.xs). Made at a clean stop, removed when the
 * service is up again. C counterpart: RESTART_FLAG_FILE in pmxcfs.c.
 */
import { closeSync, constants, fchownSync, openSync, rmSync } from "node:fs";
import type { Log } from "../base/log.ts";

/** Where PVE's clients look. */
export const PVE_RESTART_FLAG = "/run/pve-cluster/cfs-restart-flag";

/** Readable for all who have access to the service: root and www-data. */
const MODE = 0o440;

/**
 * A client whose connect failed just before we listened looks for the file just after; it must
 * still be there then.
 */
const LINGER_MS = 1000;

const CREATE =
  constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | (constants.O_NOFOLLOW ?? 0);

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

/** The flag of one server. Its directory is not made: without it no client looks for the flag. */
export class RestartFlag {
  readonly #path: string;
  readonly #gid: number | undefined;
  readonly #log: Log;
  #removal: Timer | undefined;

  /** `gid` is the group that may read it; without one it keeps this process's. */
  constructor(path: string, gid: number | undefined, log: Log) {
    this.#path = path;
    this.#gid = gid;
    this.#log = log;
  }

  /** The service listens: removes the file a moment later. */
  up(): void {
    this.#removal = setTimeout(() => this.#remove(), LINGER_MS);
    this.#removal.unref();
  }

  /** The service is about to stop, and still listens: makes the file. */
  down(): void {
    clearTimeout(this.#removal);
    let file: number;
    try {
      file = openSync(this.#path, CREATE, MODE);
    } catch (error) {
      const code = codeOf(error);
      // The file of the last stop is still there, or the machine has no such directory.
      if (code === "EEXIST" || code === "ENOENT") return;
      this.#log.warn(`cannot make ${this.#path}: clients will not wait for a restart (${code})`);
      return;
    }
    try {
      if (process.getuid?.() === 0 && this.#gid !== undefined) fchownSync(file, 0, this.#gid);
    } catch (error) {
      this.#log.warn(`cannot give ${this.#path} to group ${this.#gid} (${codeOf(error)})`);
    } finally {
      closeSync(file);
    }
  }

  #remove(): void {
    try {
      rmSync(this.#path, { force: true });
    } catch (error) {
      this.#log.warn(`cannot remove ${this.#path}: clients will wait in vain (${codeOf(error)})`);
    }
  }
}
