/**
 * Processes and who holds which descriptor, from /proc. Reads are synchronous: /proc/PID/stat and
 * the links in /proc/PID/fd are answered by the kernel alone and do not sleep (unlike cmdline,
 * which waits for the process's memory lock and is read asynchronously elsewhere).
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { parseKeys, parseStat } from "./proc.ts";

export interface ProcessInfo {
  readonly pid: number;
  /** The kernel's 15 characters of its name. */
  readonly command: string;
  /** R, S, D, T, t, Z, ... */
  readonly state: string;
  /** Start, in clock ticks since boot; with the pid it names one process for ever. */
  readonly startTicks: number;
  /** No memory of its own: a kernel thread. */
  readonly kernel: boolean;
}

function quietly<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch {
    // The process ended, or belongs to somebody else.
    return otherwise;
  }
}

/** Process `pid` below the proc file system `proc`; undefined when it has ended. */
export function readProcess(proc: string, pid: number): ProcessInfo | undefined {
  const text = quietly(() => readFileSync(`${proc}/${pid}/stat`, "latin1"), "");
  return text === "" ? undefined : { pid, ...parseStat(text) };
}

/**
 * How often the process has gone to sleep so far; the same number twice means that it did not run
 * in between.
 */
export function sleepCount(proc: string, pid: number): string | undefined {
  const text = quietly(() => readFileSync(`${proc}/${pid}/status`, "latin1"), "");
  return parseKeys(text).get("voluntary_ctxt_switches");
}

function processIds(proc: string): number[] {
  const names = quietly(() => readdirSync(proc), []);
  return names.filter((name) => /^\d+$/.test(name)).map(Number);
}

/** Every process below the proc file system `proc`, those that end meanwhile left out. */
export function readProcesses(proc: string): ProcessInfo[] {
  return processIds(proc).flatMap((pid) => readProcess(proc, pid) ?? []);
}

/** Open descriptors of a process; undefined when they may not be seen. */
export function descriptorCount(proc: string, pid: number): number | undefined {
  return quietly<number | undefined>(() => readdirSync(`${proc}/${pid}/fd`).length, undefined);
}

function sockets(proc: string, pid: number): number[] {
  const directory = `${proc}/${pid}/fd`;
  return quietly(() => readdirSync(directory), []).flatMap((fd) => {
    const link = quietly(() => readlinkSync(`${directory}/${fd}`), "");
    const socket = /^socket:\[(\d+)\]$/.exec(link);
    return socket === null ? [] : Number(socket[1]);
  });
}

/**
 * Who holds these sockets: inode -> first process found, likely ones asked first. Sockets of other
 * users' processes stay unknown unless this is root.
 */
export function socketOwners(
  proc: string,
  inodes: ReadonlySet<number>,
  likely: readonly number[],
): Map<number, number> {
  const owners = new Map<number, number>();
  const asked = new Set<number>();
  for (const pid of [...likely, ...processIds(proc)]) {
    if (owners.size === inodes.size) break;
    if (asked.has(pid)) continue;
    asked.add(pid);
    for (const inode of sockets(proc, pid)) {
      if (inodes.has(inode) && !owners.has(inode)) owners.set(inode, pid);
    }
  }
  return owners;
}

/** Processes that have the file of this path open, by the names of their descriptors. */
export function openBy(proc: string, path: string): ProcessInfo[] {
  return processIds(proc).flatMap((pid) => {
    const directory = `${proc}/${pid}/fd`;
    const has = quietly(() => readdirSync(directory), []).some(
      (fd) => quietly(() => readlinkSync(`${directory}/${fd}`), "") === path,
    );
    return has ? (readProcess(proc, pid) ?? []) : [];
  });
}

/** The working directory of a process by its path; empty when it may not be seen. */
export function workingDirectory(proc: string, pid: number): string {
  return quietly(() => readlinkSync(`${proc}/${pid}/cwd`), "");
}

/** Kernel clock ticks in a second as /proc shows them (USER_HZ, the same on all Linux machines). */
const TICKS_PER_SECOND = 100;

/** Start of a process in seconds since 1970; undefined when there is none of this pid. */
export function startSeconds(proc: string, pid: number): number | undefined {
  const process = readProcess(proc, pid);
  if (process === undefined) return undefined;
  const text = quietly(() => readFileSync(`${proc}/stat`, "latin1"), "");
  const boot = Number(/^btime (\d+)$/m.exec(text)?.[1] ?? 0);
  return boot + process.startTicks / TICKS_PER_SECOND;
}
