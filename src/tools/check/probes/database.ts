/**
 * config.db: examined in place, without SQLite's locks and without writing a byte, by the rules of
 * `config verify` (pmxcfs/rescue), which are those by which pmxcfs loads it.
 */
import { counted } from "../../../base/counted.ts";
import { Errno } from "../../../base/errno.ts";
import { CfsLimits } from "../../../base/limits.ts";
import { judgeDatabase, type Problem, problemLine } from "../../../pmxcfs/rescue/verify.ts";
import { type SalvagedItem, salvage } from "../../../pmxcfs/rescue/salvage.ts";
import type { CodeName } from "../../diagnosis/codes.ts";
import { IN_MEMORY, LOG_ALONE, NOTHING_READ } from "../../diagnosis/codes/database.ts";
import { type Finding, found, pass, skip } from "../finding.ts";
import type { FileInfo } from "../host.ts";
import type { Context, Probe } from "../probe.ts";
import { lockHoldersIn } from "../../../platform/proc-locks.ts";
import { openBy } from "../proc.ts";
import { isChroot } from "./chroot.ts";
import { directoryMissing } from "./cluster.ts";
import { behindLinks, diskFindings } from "./disk.ts";
import { lockFindings, serversFindings } from "./lock.ts";
import { replacedFindings } from "./open-file.ts";
import {
  changeFromFuture,
  filesLeft,
  isMounted,
  keysMissing,
  type LastChange,
  locksHeld,
} from "./tree.ts";

const MiB = 1024 * 1024;

/**
 * SQLite restarts the log at 1000 pages, 4 MiB; a much larger one means that a reader prevents it.
 */
const WAL_LIMIT_BYTES = 16 * MiB;

/** A larger file is not pmxcfs's, and reading it would take too long. */
const READ_LIMIT_BYTES = 512 * MiB;
/** A -wal without a frame. */
const WAL_HEADER_BYTES = 32;
const LARGE_PERCENT = 75;
const MODE = 0o600;
/** Faults of one file named in a report. */
const FAULTS_LISTED = 5;
const READERS_LISTED = 5;
/** Attempts to read a file that is being written, and the pause between them. */
const READS = 4;
const AGAIN_MS = 50;

function mib(bytes: number): number {
  return Math.round((bytes / MiB) * 10) / 10;
}

/** Bytes of the -shm file that a reading transaction locks (SQLite's WAL format). */
const READ_LOCKS = [123, 127] as const;

/** Processes with an open transaction on the log; else those that have it open at all. */
async function walReaders({ machine, facts }: Context, path: string): Promise<string> {
  const server = (await facts.server())?.owner?.pid;
  const { proc } = machine.paths;
  const index = await machine.info(path.replace(/wal$/, "shm"));
  const text = await machine.text(`${proc}/locks`);
  const known = typeof index !== "number" && typeof text === "string";
  const reading = new Set(known ? lockHoldersIn(text, index.inode, READ_LOCKS) : []);
  const others = openBy(proc, path).filter(({ pid }) => pid !== server);
  const holders = others.filter(({ pid }) => reading.has(pid));
  const named = (holders.length > 0 ? holders : others).slice(0, READERS_LISTED);
  if (named.length === 0) return "";
  const list = named.map(({ pid, command }) => `pid ${pid} (${command})`).join(", ");
  return holders.length > 0 ? `; a transaction is open in ${list}` : `; also open in ${list}`;
}

async function walSize(context: Context, path: string): Promise<Finding[]> {
  const info = await context.machine.info(path);
  if (typeof info === "number" || info.size <= WAL_LIMIT_BYTES) return [];
  const readers = await walReaders(context, path);
  const values = { path, size: mib(info.size), limit: mib(WAL_LIMIT_BYTES), readers };
  return [found("DB_WAL_LARGE", values)];
}

/** A -wal without its file: pmxcfs would make an empty file, for which SQLite removes the -wal. */
async function logAlone(context: Context, path: string): Promise<Finding[]> {
  const log = `${await behindLinks(context, path)}-wal`;
  const info = await context.machine.info(log);
  if (typeof info === "number" || info.size <= WAL_HEADER_BYTES) return [];
  const detail = `there is none, while ${log} has ${counted(info.size, "byte")}`;
  const values = { path, directory: "", detail };
  return [found("DB_NOT_PMXCFS", values, { fix: null, advice: LOG_ALONE })];
}

/** Findings that need no look into the file. */
async function outside(context: Context, path: string, info: FileInfo): Promise<Finding[]> {
  const findings: Finding[] = [];
  const { mode, uid, gid } = info;
  if (mode !== MODE || uid !== 0 || gid !== 0) {
    findings.push(found("DB_PERMISSIONS", { path, mode: `0${mode.toString(8)}`, uid, gid }));
  }
  findings.push(...(await walSize(context, `${await behindLinks(context, path)}-wal`)));
  return findings;
}

/** The faults for which pmxcfs refuses the file, further notes, and data about the tree. */
interface Examined {
  readonly problems: readonly Problem[];
  readonly items: readonly SalvagedItem[];
  readonly last: LastChange;
}

function examine(file: string): Examined {
  const { items, database } = salvage(file);
  const { problems, modifiedS, writer } = judgeDatabase(database);
  return { problems, items, last: { modifiedS, writer } };
}

/** The files of a database: itself, SQLite's log, and the journal of changes of our server. */
async function partsOf(context: Context, path: string): Promise<string[]> {
  const real = await behindLinks(context, path);
  return [path, `${real}-wal`, `${real}.changes`];
}

/** State that changes when the database is written. */
async function stampOf(context: Context, path: string): Promise<string> {
  const parts = await partsOf(context, path);
  const infos = await Promise.all(parts.map((part) => context.machine.info(part)));
  return infos
    .map((info) =>
      typeof info === "number" ? "-" : `${info.inode} ${info.size} ${info.modifiedMs}`,
    )
    .join(", ");
}

/**
 * Reads it once in a child, because a hung disk must not block this process; why it cannot be read.
 */
async function unreadable(context: Context, path: string): Promise<string | undefined> {
  const { machine, left } = context;
  for (const part of await partsOf(context, path)) {
    if (typeof (await machine.info(part)) === "number") continue;
    const words = ["dd", `if=${part}`, "of=/dev/null", "bs=1M", "status=none"];
    const { code, timedOut, error } = await machine.run(words, left());
    if (timedOut) return "it could not be read in time";
    if (code !== 0 && part === path) return error.trim();
  }
  return undefined;
}

/** Examines it in place, without a lock or a copy; reads again what a writer changed meanwhile. */
async function examineInPlace(context: Context, path: string): Promise<Examined | string> {
  const reason = await unreadable(context, path);
  if (reason !== undefined) return reason;
  for (let attempt = 1; attempt <= READS; attempt++) {
    const before = await stampOf(context, path);
    const examined = examine(path);
    if (examined.problems.length === 0 || (await stampOf(context, path)) === before) {
      return examined;
    }
    await Bun.sleep(Math.min(AGAIN_MS, context.left()));
  }
  return "it is written faster than it can be read: try again";
}

/** The code of each kind of problem. */
const PROBLEM_CODES = {
  missing: "DB_CORRUPT",
  "not-a-file": "DB_CORRUPT",
  unreadable: "DB_CORRUPT",
  "not-a-database": "DB_CORRUPT",
  damaged: "DB_CORRUPT",
  empty: "DB_NOT_PMXCFS",
  "empty-with-wal": "DB_NOT_PMXCFS",
  "no-table": "DB_NOT_PMXCFS",
  "root-name": "DB_ENTRY_REFUSED",
  "no-name": "DB_ENTRY_REFUSED",
  "unknown-type": "DB_ENTRY_REFUSED",
  "directory-data": "DB_ENTRY_REFUSED",
  "guest-directory-is-file": "DB_ENTRY_REFUSED",
  "parent-is-file": "DB_ORPHAN",
  "missing-directory": "DB_ORPHAN",
  "duplicate-name": "DB_DUPLICATE_NAME",
  "duplicate-vmid": "DB_DUPLICATE_VMID",
} as const satisfies Record<Problem["kind"], CodeName>;

/** Files that lack rows, which a pmxcfs that runs has in memory. */
const LACKING: ReadonlySet<CodeName> = new Set(["DB_CORRUPT", "DB_NOT_PMXCFS"]);

/** A pmxcfs that runs shows its tree, and answers. The link exists in every mount of one. */
async function isShown(context: Context): Promise<boolean> {
  const { machine, left } = context;
  if (!(await isMounted(context))) return false;
  const { code } = await machine.run(["stat", "-c", "%F", `${machine.paths.pve}/local`], left());
  return code === 0;
}

/**
 * The problems as findings, with the fix once: it removes all of them. There is no fix for a guest
 * that exists twice, because the new file would have it twice as well, nor for a file with nothing
 * in it, unless it can be made from the tree that is `shown`.
 */
function fatal(path: string, { problems, items }: Examined, shown: boolean): Finding[] {
  const directory = path.slice(0, path.lastIndexOf("/"));
  const listed = problems.slice(0, FAULTS_LISTED);
  const open = problems.some(({ kind }) => kind === "duplicate-vmid");
  return listed.map((problem, index) => {
    const code = PROBLEM_CODES[problem.kind];
    const whole = index === 0 && problems.length > listed.length;
    const more = whole ? ` (and ${problems.length - 1} more)` : "";
    const values = { path, directory, detail: `${problemLine(problem)}${more}` };
    if (shown && LACKING.has(code)) return found(code, values, { advice: IN_MEMORY });
    if (items.length === 0) return found(code, values, { fix: null, advice: NOTHING_READ });
    return found(code, values, index === 0 && !open ? {} : { fix: null });
  });
}

function sizes(path: string, items: readonly SalvagedItem[]): Finding[] {
  const findings = items.flatMap(({ path: names, row }) => {
    const bytes = row.data.length;
    const limit = CfsLimits.fileBytes;
    const percent = Math.floor((bytes / limit) * 100);
    const name = names.join("/");
    return percent < LARGE_PERCENT ? [] : [found("DB_FILE_LARGE", { name, bytes, percent, limit })];
  });
  const totalBytes = items.reduce((sum, { row }) => sum + row.data.length, 0);
  const percent = Math.floor((totalBytes / CfsLimits.treeBytes) * 100);
  const largest = findings.slice(0, FAULTS_LISTED);
  if (percent < LARGE_PERCENT) return largest;
  const limit = mib(CfsLimits.treeBytes);
  const size = mib(totalBytes);
  return [...largest, found("DB_LARGE", { path, size, percent, limit })];
}

/** This node's own name among the node directories, when there are any. */
async function nodeDirectory(context: Context, items: readonly SalvagedItem[]): Promise<Finding[]> {
  const name = await context.facts.nodeName();
  const nodes = items.flatMap(({ path, kind }) =>
    path.length === 2 && path[0] === "nodes" && kind === "directory" ? [path[1] ?? ""] : [],
  );
  if (nodes.length === 0 || nodes.includes(name) || (await isChroot(context))) return [];
  return [await directoryMissing(context, nodes)];
}

/** The result of the examination, made once for both probes, or the reason why there is none. */
function examinedOnce(context: Context, path: string): Promise<Examined | string> {
  return context.facts.once("config.db", () => examineInPlace(context, path));
}

async function inside(context: Context, path: string): Promise<Finding[]> {
  const examined = await examinedOnce(context, path);
  if (typeof examined === "string") return [skip("database", `${path}: ${examined}`)];
  const bad = fatal(path, examined, examined.problems.length > 0 && (await isShown(context)));
  if (bad.length > 0) return bad;
  const { items, last } = examined;
  const bytes = items.reduce((sum, { row }) => sum + row.data.length, 0);
  const measures = [{ name: "database_files_bytes", value: bytes, unit: "bytes" }] as const;
  const line = `${path} is sound: ${items.length} entries, ${mib(bytes)} MiB of files`;
  return [
    pass("database", line, measures),
    ...sizes(path, items),
    ...(await nodeDirectory(context, items)),
    ...(await changeFromFuture(context, items, last)),
  ];
}

export const databaseProbe: Probe = {
  check: "database",
  async run(context) {
    const { machine } = context;
    const path = machine.paths.database;
    const info = await machine.info(path);
    if (typeof info === "number") {
      const { uid } = await context.facts.identity();
      const why = uid === 0 ? "there is none" : `it is not visible to uid ${uid}`;
      const replaced = await replacedFindings(context, path);
      const isAlone = info === Errno.ENOENT && replaced.length === 0;
      const others = [
        ...replaced,
        ...(isAlone ? await logAlone(context, path) : []),
        ...(await diskFindings(context, path)),
        ...(await lockFindings(context)),
      ];
      return [skip("database", `${path}: ${why}`), ...others];
    }
    const findings = [
      ...(await outside(context, path, info)),
      ...(await replacedFindings(context, path)),
      ...(await diskFindings(context, path)),
      ...(await lockFindings(context)),
      ...(await serversFindings(context, path)),
    ];
    if (info.kind !== "file") {
      const values = { path, directory: "", detail: `it is no file (${info.kind})` };
      findings.push(found("DB_CORRUPT", values, { fix: null, advice: NOTHING_READ }));
    } else if (!(await machine.readable(path))) {
      findings.push(skip("database", `${path} is readable by root only`));
    } else if (info.size > READ_LIMIT_BYTES) {
      findings.push(skip("database", `${path} has ${mib(info.size)} MiB: too large to read`));
    } else {
      findings.push(...(await inside(context, path)));
    }
    return findings;
  },
};

/** The entries of the database, or the reason why they cannot be read. */
async function itemsOf(
  context: Context,
  examined: typeof examineInPlace = examinedOnce,
): Promise<readonly SalvagedItem[] | string> {
  const { machine } = context;
  const path = machine.paths.database;
  const info = await machine.info(path);
  const isUsable = typeof info !== "number" && info.kind === "file";
  if (!isUsable || info.size > READ_LIMIT_BYTES || !(await machine.readable(path))) {
    return `${path} cannot be read`;
  }
  const result = await examined(context, path);
  return typeof result === "string" ? `${path}: ${result}` : result.items;
}

/** The entries of the database; undefined if they cannot be read. */
export async function treeItems(context: Context): Promise<readonly SalvagedItem[] | undefined> {
  const items = await itemsOf(context);
  return typeof items === "string" ? undefined : items;
}

/**
 * The same within the time of a probe that has little: when that is too short, it does not count
 * for the probes that have more.
 */
export async function itemsInTime(context: Context): Promise<readonly SalvagedItem[]> {
  const items = await itemsOf(context, examineInPlace);
  return typeof items === "string" ? [] : items;
}

/** Files in the tree that nothing uses any more, and the locks. */
export const filesProbe: Probe = {
  check: "files",
  async run(context) {
    const items = await itemsOf(context);
    if (typeof items === "string") return [skip("files", items)];
    const findings = [
      ...(await filesLeft(context, items)),
      ...(await locksHeld(context, items)),
      ...(await keysMissing(context, items)),
    ];
    if (findings.length > 0) return findings;
    return [pass("files", "no temporary file was left behind, no lock is held")];
  },
};
