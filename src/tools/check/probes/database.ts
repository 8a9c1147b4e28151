/**
 * config.db: looked at on a private copy, never on the file a pmxcfs writes to. The checks are the
 * ones pmxcfs itself makes when it loads (database.c), with the names it would refuse.
 */
import { Database } from "bun:sqlite";
import { mkdtemp, rm } from "node:fs/promises";
import { CfsLimits } from "../../../base/limits.ts";
import { type Finding, found, pass, skip } from "../finding.ts";
import type { FileInfo } from "../host.ts";
import { lockHolders } from "../proc.ts";
import { readProcess } from "../processes.ts";
import type { Context, Probe } from "../probe.ts";
import { type Contents, examine } from "../config-db.ts";

const MiB = 1024 * 1024;

/** SQLite folds the log back at 1000 pages, 4 MiB; far beyond that somebody keeps it from it. */
const WAL_LIMIT_BYTES = 64 * MiB;

/** A larger file is not pmxcfs's, and copying it would not be done in time. */
const COPY_LIMIT_BYTES = 512 * MiB;
const DISK_LIMIT_BYTES = 100 * MiB;
const LARGE_PERCENT = 75;
const MODE = 0o600;

function mib(bytes: number): number {
  return Math.round((bytes / MiB) * 10) / 10;
}

/** What can be said without opening the file. */
async function outside({ machine }: Context, path: string, info: FileInfo): Promise<Finding[]> {
  const findings: Finding[] = [];
  const { mode, uid, gid } = info;
  if (mode !== MODE || uid !== 0 || gid !== 0) {
    findings.push(found("DB_PERMISSIONS", { path, mode: `0${mode.toString(8)}`, uid, gid }));
  }
  const wal = await machine.info(`${path}-wal`);
  if (typeof wal !== "number" && wal.size > WAL_LIMIT_BYTES) {
    const values = { path: `${path}-wal`, size: mib(wal.size), limit: mib(WAL_LIMIT_BYTES) };
    findings.push(found("DB_WAL_LARGE", values));
  }
  const space = await machine.space(path);
  if (typeof space !== "number" && space.freeBytes < DISK_LIMIT_BYTES) {
    const values = { path, free: mib(space.freeBytes), limit: mib(DISK_LIMIT_BYTES) };
    const severity = space.freeBytes < MiB ? "fail" : "warn";
    findings.push(found("DB_DISK_LOW", values, { severity }));
  }
  return findings;
}

/** Somebody holds pmxcfs's lock who does not serve. */
async function lock({ machine, facts }: Context): Promise<Finding[]> {
  const path = machine.paths.lockFile;
  const info = await machine.info(path);
  const text = await machine.text(`${machine.paths.proc}/locks`);
  if (typeof info === "number" || typeof text !== "string") return [];
  const [pid] = lockHolders(text, info.inode);
  if (pid === undefined) return [];
  const server = await facts.server();
  if (server?.owner?.pid === pid || (server !== undefined && server.owner === undefined)) return [];
  const command = readProcess(machine.paths.proc, pid)?.command ?? "?";
  return [found("DB_LOCKED_BY_OTHER", { pid, command, path, service: facts.service })];
}

/** Copies the file and its log, and examines the copy; a copy torn by a writer is made again. */
async function examineCopy(context: Context, path: string): Promise<Contents | string> {
  const { machine } = context;
  const directory = await mkdtemp(`${machine.paths.scratch}/pmxcfs-ipc-check-`);
  try {
    let result: Contents | string = "not copied";
    for (let attempt = 0; attempt < 2; attempt++) {
      const before = await machine.info(path);
      const log = typeof (await machine.info(`${path}-wal`)) === "number" ? [] : [`${path}-wal`];
      const words = ["cp", "--", path, ...log, directory];
      const copied = await machine.run(words, context.left());
      if (copied.code !== 0) {
        return copied.timedOut ? "it could not be read in time" : copied.error.trim();
      }
      const name = path.slice(path.lastIndexOf("/") + 1);
      result = examine(() => new Database(`${directory}/${name}`));
      const after = await machine.info(path);
      const same =
        typeof before !== "number" &&
        typeof after !== "number" &&
        before.modifiedMs === after.modifiedMs;
      if (same || (typeof result !== "string" && result.damage === undefined)) return result;
    }
    return result;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Findings pmxcfs would refuse to load the file for. */
function fatal(path: string, contents: Contents): Finding[] {
  const { damage, foreign, duplicateNames, duplicateGuests, orphans } = contents;
  if (damage !== undefined) return [found("DB_CORRUPT", { path, detail: damage })];
  if (foreign !== undefined) return [found("DB_NOT_PMXCFS", { path, detail: foreign })];
  return [
    ...duplicateNames.map((row) => found("DB_DUPLICATE_NAME", { path, ...row })),
    ...duplicateGuests.map((row) => found("DB_DUPLICATE_VMID", { path, ...row })),
    ...orphans.map((row) => found("DB_ORPHAN", { path, ...row })),
  ];
}

function sizes(path: string, { files, totalBytes }: Contents): Finding[] {
  const findings = files.flatMap(({ name, bytes }) => {
    const limit = CfsLimits.fileBytes;
    const percent = Math.floor((bytes / limit) * 100);
    return percent < LARGE_PERCENT ? [] : [found("DB_FILE_LARGE", { name, bytes, percent, limit })];
  });
  const percent = Math.floor((totalBytes / CfsLimits.treeBytes) * 100);
  if (percent >= LARGE_PERCENT) {
    const limit = mib(CfsLimits.treeBytes);
    findings.push(found("DB_LARGE", { path, size: mib(totalBytes), percent, limit }));
  }
  return findings;
}

/** The machine's own name among the node directories, when there are any. */
function nodeDirectory({ machine }: Context, { nodes }: Contents): Finding[] {
  const name = machine.hostName();
  if (nodes.length === 0 || nodes.includes(name)) return [];
  return [found("NODE_DIRECTORY_MISSING", { name, others: nodes.join(", ") })];
}

const CLOCK_LIMIT_S = 60;

function clock({ machine }: Context, { modifiedS }: Contents): Finding[] {
  const seconds = Math.round(modifiedS - machine.now() / 1000);
  if (seconds <= CLOCK_LIMIT_S) return [];
  const what = "the last change in config.db";
  return [found("CLOCK_BACKWARDS", { what, seconds, limit: CLOCK_LIMIT_S })];
}

async function inside(context: Context, path: string): Promise<Finding[]> {
  const contents = await examineCopy(context, path);
  if (typeof contents === "string") return [skip("database", `${path}: ${contents}`)];
  const bad = fatal(path, contents);
  if (bad.length > 0) return bad;
  const measures = [
    { name: "database_files_bytes", value: contents.totalBytes, unit: "bytes" },
  ] as const;
  const size = mib(contents.totalBytes);
  const line = `${path} is sound: ${contents.count} entries, ${size} MiB of files`;
  return [
    pass("database", line, measures),
    ...sizes(path, contents),
    ...nodeDirectory(context, contents),
    ...clock(context, contents),
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
      return [skip("database", `${path}: ${why}`), ...(await lock(context))];
    }
    const findings = [...(await outside(context, path, info)), ...(await lock(context))];
    if (info.kind !== "file") {
      findings.push(found("DB_CORRUPT", { path, detail: `it is no file (${info.kind})` }));
    } else if (!(await machine.readable(path))) {
      findings.push(skip("database", `${path} is readable by root only`));
    } else if (info.size > COPY_LIMIT_BYTES) {
      findings.push(skip("database", `${path} has ${mib(info.size)} MiB: too large to copy`));
    } else {
      findings.push(...(await inside(context, path)));
    }
    return findings;
  },
};
