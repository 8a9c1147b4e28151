/**
 * Finds and removes ring directories that a killed server left in /dev/shm, for a server's start
 * and for `--check`. The pid in a name is not enough: containers that share /dev/shm have their own
 * pids, and pids are reused. When in doubt, a directory stays:
 *
 *   ours      its server holds a flock(2) on the request header as long as that is mapped, whatever
 *             its pid namespace: not locked means dead
 *   libqb's   dead when no process has the pid and none maps the files. Only root in the initial
 *             pid namespace can see all processes; for any other process it is unknown
 */
import { errorCode } from "../base/error-text.ts";
import { readFileSync, readlinkSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { Errno } from "../base/errno.ts";
import { TimeSlices } from "../base/turns.ts";
import { closeDescriptor, Directory, lockFile, namesIn, readDirectory } from "../platform/files.ts";
import { isAlive } from "../platform/processes.ts";
import { parseDirectoryName, ringFileNames, SHM } from "./ring-directory.ts";

const REQUEST_HEADER = /^qb-request-.+-header$/;

/** The initial pid namespace (PROC_PID_INIT_INO, linux/proc_ns.h). */
const FIRST_PID_NAMESPACE = "pid:[4026531836]";

/** A directory that was changed more recently may still be under construction. */
const YOUNG_S = 5;

/** A ring directory has six files. A user may put any number into one that is named like it. */
const MOST_FILES = 64;

/** Bytes of names that are read at a time. */
const LISTED_BYTES = 16 * 1024;

/** A piece of the text of a process's mappings that is searched at a time: 0.1 ms or less. */
const SEARCHED_CHARACTERS = 64 * 1024;

/** Time of one slice of a search; other work runs between slices. */
const SLICE_MS = 2;

/** Whether the server of a ring directory is alive, as far as this process can see. */
export type Liveness = "alive" | "dead" | "unknown";

/** Whether this process can see all processes of the host and their mappings. */
function seesAllProcesses(proc: string): boolean {
  try {
    if (process.geteuid?.() !== 0) return false;
    return readlinkSync(`${proc}/self/ns/pid`) === FIRST_PID_NAMESPACE;
  } catch {
    return false;
  }
}

/** Whether a process is in the initial pid namespace: it has only one pid (proc(5), NSpid). */
function isOfFirstNamespace(proc: string, pid: string): boolean {
  try {
    return /^NSpid:\t\d+$/m.test(readFileSync(`${proc}/${pid}/status`, "latin1"));
  } catch {
    return false;
  }
}

/** `text` in pieces of whole lines. */
function* piecesOf(text: string): Generator<string> {
  for (let from = 0; from < text.length;) {
    const end = text.indexOf("\n", from + SEARCHED_CHARACTERS);
    const next = end === -1 ? text.length : end + 1;
    yield text.slice(from, next);
    from = next;
  }
}

/**
 * Names of the ring directories of which some process maps a file; undefined: cannot be seen. Other
 * threads read: the mappings of a process whose memory is locked, which it can arrange itself, are
 * not read before that ends, and those of a thousand processes take long. The search is in slices:
 * any user can have 65,530 mappings, of files with long paths, and 60 MiB of text take 37 ms.
 */
async function mappedDirectories(proc: string): Promise<ReadonlySet<string> | undefined> {
  const mapped = new Set<string>();
  const slices = new TimeSlices(SLICE_MS);
  for (const pid of namesIn(proc) ?? []) {
    if (!/^[0-9]+$/.test(pid)) continue;
    let maps: string;
    try {
      maps = await readFile(`${proc}/${pid}/maps`, "latin1");
    } catch (error) {
      const code = errorCode(error);
      if (code === "ENOENT" || code === "ESRCH") continue;
      // In the initial pid namespace a process has the pid that its directories are named after: it
      // is not the server of a directory whose pid is gone, so its maps are not needed.
      if (isOfFirstNamespace(proc, pid)) continue;
      return undefined;
    }
    for (const piece of piecesOf(maps)) {
      if (slices.isOver) await slices.next();
      for (const [, name = ""] of piece.matchAll(/\/(qb-[0-9]+-[0-9]+-[0-9]+-\w+)\//g)) {
        mapped.add(name);
      }
    }
  }
  return mapped;
}

/** Applies the rule above. Caches what is the same for all directories of a run. */
export class StaleDirectories {
  readonly #shm: Directory;
  readonly #path: string;
  readonly #proc: string;
  readonly #livePids = new Map<number, boolean>();
  #mapped: Promise<ReadonlySet<string> | undefined> | undefined;

  /** `shm`: the directory `path`, opened; `path` and `proc` are for tests. */
  constructor(shm: Directory, path: string = SHM, proc = "/proc") {
    this.#shm = shm;
    this.#path = path;
    this.#proc = proc;
  }

  /** All names in the directory, read a few hundred at a time: there may be a million. */
  *names(): Generator<string> {
    const opened = Directory.open(this.#path);
    if (typeof opened === "number") return;
    using directory = opened;
    const buffer = Buffer.alloc(LISTED_BYTES);
    for (;;) {
      const entries = readDirectory(directory.fd, buffer);
      if (typeof entries === "number" || entries.length === 0) return;
      for (const { name } of entries) yield name;
    }
  }

  /** Whether the server of ring directory `name` is alive; unknown for other names. */
  async livenessOf(name: string): Promise<Liveness> {
    const parts = parseDirectoryName(name);
    if (parts === undefined) return "unknown";
    const { serverPid, isOurs } = parts;
    if (!isOurs) return await this.#byProcesses(name, serverPid);
    const entry = this.#shm.lookAt(name);
    const mayOpen = process.geteuid?.() === 0 || entry?.uid === process.geteuid?.();
    if (entry === undefined || !entry.isDirectory || !mayOpen) return "unknown";
    const files = this.#filesOf(name);
    if (files === undefined) return "unknown";
    const header = files.find((file) => REQUEST_HEADER.test(file));
    const mayBeNew = this.#isLive(serverPid) || header === undefined;
    if (entry.ageS < YOUNG_S && mayBeNew) return this.#byLock(name, header, "unknown");
    // The directory is empty: its client has unlinked the files.
    if (header === undefined) return this.#isLive(serverPid) ? "unknown" : "dead";
    return this.#byLock(name, header, "dead");
  }

  /** The files in directory `name`; undefined: it has too many, or cannot be listed. */
  #filesOf(name: string): string[] | undefined {
    const opened = this.#shm.openSub(name);
    if (typeof opened === "number") return undefined;
    using directory = opened;
    return directory.names(MOST_FILES);
  }

  /** Alive if another process holds the lock on `header`; `unlocked` if none does. */
  #byLock(name: string, header: string | undefined, unlocked: Liveness): Liveness {
    const opened = this.#shm.openSub(name);
    if (header === undefined || typeof opened === "number") return "unknown";
    using directory = opened;
    const file = directory.openFile(header);
    if (file < 0) return "unknown";
    const locked = lockFile(file);
    closeDescriptor(file);
    if (locked === 0) return unlocked;
    return locked === Errno.EAGAIN ? "alive" : "unknown";
  }

  async #byProcesses(name: string, pid: number): Promise<Liveness> {
    if (this.#isLive(pid)) return "alive";
    if (!seesAllProcesses(this.#proc)) return "unknown";
    this.#mapped ??= mappedDirectories(this.#proc);
    const mapped = await this.#mapped;
    if (mapped === undefined) return "unknown";
    return mapped.has(name) ? "alive" : "dead";
  }

  /** Our own pid counts as not alive: in a container the previous server had the same pid. */
  #isLive(pid: number): boolean {
    if (pid === process.pid) return false;
    const known = this.#livePids.get(pid);
    if (known !== undefined) return known;
    const live = isAlive(pid);
    this.#livePids.set(pid, live);
    return live;
  }

  /**
   * Removes `name` if it has no files but the six of `service`, by name through a descriptor of the
   * directory. False: it is another service's, or has other files.
   */
  remove(name: string, service: string): boolean {
    const opened = this.#shm.openSub(name);
    if (typeof opened === "number") return false;
    using directory = opened;
    const files = directory.names(MOST_FILES);
    if (files === undefined) return false;
    // An empty one may be another service's, but must have been made by this program.
    if (files.length === 0 && parseDirectoryName(name)?.isOurs !== true) return false;
    const own = new Set(ringFileNames(service));
    if (!files.every((file) => own.has(file))) return false;
    for (const file of files) directory.unlink(file);
    return this.#shm.removeSub(name) === 0;
  }
}

/**
 * Removes the directories that dead servers of `service` left, in slices of 2 ms, because any user
 * can make hundreds of thousands of names in /dev/shm. Resolves to the number of removed ones; ends
 * early when `isStopped` returns true.
 */
export async function sweepStaleDirectories(
  shm: Directory,
  service: string,
  isStopped: () => boolean,
): Promise<number> {
  const stale = new StaleDirectories(shm);
  let removed = 0;
  const slices = new TimeSlices(SLICE_MS);
  for (const name of stale.names()) {
    if (slices.isOver) await slices.next();
    if (isStopped()) break;
    const liveness = await stale.livenessOf(name);
    if (isStopped()) break;
    if (liveness === "dead" && stale.remove(name, service)) removed++;
  }
  return removed;
}
