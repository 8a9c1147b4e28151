/**
 * Parsers for files below /proc, and processes with their descriptors. Formats: proc(5),
 * Documentation/filesystems/proc.rst. Reads are synchronous: the kernel alone answers for
 * /proc/PID/stat and the links in /proc/PID/fd, without sleeping (unlike cmdline, which waits for
 * the process's memory lock and is read asynchronously elsewhere).
 */
import { constants, readFileSync, readdirSync, readlinkSync } from "node:fs";
import { unescapeMount } from "../../platform/mounts.ts";

export interface Stat {
  readonly command: string;
  readonly state: string;
  readonly startTicks: number;
  readonly kernel: boolean;
}

/** From /proc/PID/stat; the command's name may hold spaces and parentheses. */
export function parseStat(text: string): Stat {
  const open = text.indexOf("(");
  const close = text.lastIndexOf(")");
  const rest = text.slice(close + 2).split(" ");
  return {
    command: text.slice(open + 1, close),
    state: rest[0] ?? "?",
    // Fields 22 and 23 of the file (starttime, vsize); the rest begins at field 3.
    startTicks: Number(rest[19] ?? 0),
    kernel: rest[20] === "0",
  };
}

/** The `Key:\tvalue` lines of /proc/PID/status and /proc/meminfo. */
export function parseKeys(text: string): Map<string, string> {
  return new Map(
    text.split("\n").flatMap((line) => {
      const colon = line.indexOf(":");
      return colon < 0 ? [] : [[line.slice(0, colon), line.slice(colon + 1).trim()] as const];
    }),
  );
}

/** uid_map or gid_map: what `inside` is outside; undefined when it is not mapped. */
export function mapId(text: string, inside: number): number | undefined {
  for (const line of text.trim().split("\n")) {
    const [first = 0, outside = 0, count = 0] = line.trim().split(/\s+/).map(Number);
    if (inside >= first && inside < first + count) return outside + inside - first;
  }
  return undefined;
}

export interface Mount {
  readonly point: string;
  /** `major:minor` of the file system: two mounts of one file system have the same. */
  readonly device: string;
  readonly type: string;
  readonly source: string;
  /** Mounted read-only, here or as a whole file system. */
  readonly readOnly: boolean;
  /** The file system itself is writable; only this mount, in this namespace, is read-only. */
  readonly readOnlyHere: boolean;
}

/** Mounts in the order of mounting: of several at one point, the last one is visible. */
export function parseMounts(text: string): Mount[] {
  return text.split("\n").flatMap((line) => {
    const [left = "", right] = line.split(" - ");
    if (right === undefined) return [];
    const [, , device = "", , point = "", options = ""] = left.split(" ");
    const [type = "", source = "", superOptions = ""] = right.split(" ");
    const [here, whole] = [options, superOptions].map((list) => list.split(",").includes("ro"));
    return {
      point: unescapeMount(point),
      device,
      type,
      source: unescapeMount(source),
      readOnly: here === true || whole === true,
      readOnlyHere: here === true && whole !== true,
    };
  });
}

/** avg60 of the `some` line of /proc/pressure/*, in percent. */
export function pressure60(text: string, kind: "some" | "full"): number | undefined {
  const row = new RegExp(`^${kind} .*avg60=([0-9.]+)`, "m").exec(text);
  return row === null ? undefined : Number(row[1]);
}

function limitOf(text: string, name: string, column: 0 | 1): number | undefined {
  const row = text.split("\n").find((line) => line.startsWith(name));
  const word = row?.slice(name.length).trim().split(/\s+/)[column];
  return word === undefined || word === "unlimited" ? undefined : Number(word);
}

/** The soft limit of a row of /proc/PID/limits; undefined for "unlimited". */
export function softLimit(text: string, name: string): number | undefined {
  return limitOf(text, name, 0);
}

/** The hard limit of a row of /proc/PID/limits; undefined for "unlimited". */
export function hardLimit(text: string, name: string): number | undefined {
  return limitOf(text, name, 1);
}

export interface HostsLine {
  readonly address: string;
  /** All names of the line. */
  readonly names: readonly string[];
  /** From 1. */
  readonly line: number;
}

/** The lines of an /etc/hosts that name `name`. */
export function hostsLines(text: string, name: string): HostsLine[] {
  return text.split("\n").flatMap((raw, index) => {
    const [address = "", ...names] = (raw.split("#")[0] ?? "").trim().split(/\s+/);
    return names.includes(name) ? { address, names, line: index + 1 } : [];
  });
}

/** 127.0.0.0/8, ::1, and the v4-mapped form. */
export function isLoopback(address: string): boolean {
  return /^(::ffff:)?127\./i.test(address) || address === "::1";
}

/** fe80::/10 and 169.254.0.0/16: no address another node could use. */
export function isLinkLocal(address: string): boolean {
  return /^(fe[89ab][0-9a-f]:|169\.254\.)/i.test(address);
}

export interface ProcessInfo {
  readonly pid: number;
  /** The kernel's 15 characters of its name. */
  readonly command: string;
  /** R, S, D, T, t, Z, ... */
  readonly state: string;
  /** Start, in clock ticks since boot; with the pid it identifies a process for ever. */
  readonly startTicks: number;
  /** A kernel thread, which has no memory of its own. */
  readonly kernel: boolean;
}

function quietly<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch {
    // The process has ended, or is another user's.
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

/** The names of a process's descriptors (`socket:[7]`, a path); empty when they may not be seen. */
export function descriptorNames(proc: string, pid: number): string[] {
  const directory = `${proc}/${pid}/fd`;
  return quietly(() => readdirSync(directory), []).map((fd) =>
    quietly(() => readlinkSync(`${directory}/${fd}`), ""),
  );
}

function sockets(proc: string, pid: number): number[] {
  return descriptorNames(proc, pid).flatMap((name) => {
    const socket = /^socket:\[(\d+)\]$/.exec(name);
    return socket === null ? [] : Number(socket[1]);
  });
}

/**
 * The processes that hold these sockets: inode -> first process found, likely ones checked first.
 * Sockets of other users' processes stay unknown unless this is root.
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
    return descriptorNames(proc, pid).includes(path) ? (readProcess(proc, pid) ?? []) : [];
  });
}

/** Processes with a descriptor of the file of this path that /proc/PID/fdinfo describes so. */
function openWith(proc: string, path: string, isSo: (info: string) => boolean): number[] {
  return processIds(proc).filter((pid) => {
    const directory = `${proc}/${pid}`;
    return quietly(() => readdirSync(`${directory}/fd`), []).some((fd) => {
      if (quietly(() => readlinkSync(`${directory}/fd/${fd}`), "") !== path) return false;
      return isSo(quietly(() => readFileSync(`${directory}/fdinfo/${fd}`, "latin1"), ""));
    });
  });
}

/** Processes that hold a lock of flock(2) on the file, also one that their parent took. */
export function flocksOf(proc: string, path: string): number[] {
  return openWith(proc, path, (info) => /^lock:.*\bFLOCK\b/m.test(info));
}

/** Processes that have the file open for writing. */
export function writersOf(proc: string, path: string): number[] {
  return openWith(proc, path, (info) => {
    const flags = Number.parseInt(/^flags:\s*(\d+)/m.exec(info)?.[1] ?? "0", 8);
    return (flags & (constants.O_WRONLY | constants.O_RDWR)) !== 0;
  });
}

/**
 * The names of all open descriptors of all processes: for many paths, one pass over /proc instead
 * of one for each path.
 */
export function openNames(proc: string): ReadonlySet<string> {
  return new Set(processIds(proc).flatMap((pid) => descriptorNames(proc, pid)));
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
