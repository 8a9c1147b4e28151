/**
 * Copies of a config.db that a server may have open: read without a lock and without changing a
 * byte, checked to be consistent, written as a separate database (no -wal), and checked by the C
 * server's rules for loading. Restoring works on a database that no server has open.
 */
import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { compactTime } from "../../base/compact-time.ts";
import { errorText } from "../../base/error-text.ts";
import { type Hashed, treeChecksum } from "../state/tree-index.ts";
import { writeConfigDbRows } from "../store/config-writer.ts";
import { freeName } from "../store/free-name.ts";
import { RowType, tooWide, type Row } from "../store/tree-rows.ts";
import { isPending } from "../store/version-row.ts";
import { replaceDatabase } from "./import.ts";
import { readAtRest } from "./read-at-rest.ts";
import { judgeDatabase } from "./verify.ts";

/** Names of the copies that --keep counts and removes; no others. */
const OWN_NAME = /^config-(\d{8}T\d{6}Z)(?:-(\d+))?\.db$/;

const NO_BYTES = new Uint8Array(0);

export interface Backup {
  readonly file: string;
  /** Of the whole tree. */
  readonly version: number;
  /** SHA-256 of the tree as the cluster compares it (`cluster verify`), hex. */
  readonly checksum: string;
  readonly files: number;
  readonly directories: number;
  /** Older copies that --keep removed. */
  readonly removed: readonly string[];
}

function hashedOf(row: Row): Hashed {
  const { inode, parent, version, writer, mtime, name, data } = row;
  const isRoot = inode === 0;
  const isFile = row.type === RowType.FILE && !isRoot;
  return {
    inode,
    parentInode: parent,
    version,
    writer,
    mtime,
    size: isFile ? data.length : 0,
    type: isFile ? RowType.FILE : RowType.DIRECTORY,
    name: isRoot ? "" : name,
    bytes: isFile ? data : NO_BYTES,
  };
}

/** Checksum of a tree from its rows, hex: what VERIFY messages and `cluster verify` show. */
function checksumOf(rows: readonly Row[]): string {
  const ordered = rows.toSorted((a, b) => a.inode - b.inode);
  return treeChecksum(ordered.map(hashedOf)).toString("hex");
}

interface Sound {
  readonly rows: readonly Row[];
  readonly version: number;
  readonly files: number;
  readonly directories: number;
}

/** The rows of a database that the C server would load; a text that says why it would not. */
function soundRows(file: string): Sound | string {
  const database = readAtRest(file);
  const { problems, files, directories } = judgeDatabase(database);
  if (problems[0] !== undefined) {
    const all = problems.length === 1 ? "" : ` (\`pmxcfs-ipc config verify --db ${file}\` has all)`;
    return `${problems[0].text}${all}`;
  }
  const { rows, notes } = database;
  // Neither read nor applied: a copy without them would lack changes that were answered.
  if (rows.some(isPending)) return notes.at(-1) ?? "changes wait in config.db.changes beside it";
  // Numbers and contents that were not read as they are would be other ones in the copy.
  const wide = tooWide(rows);
  if (wide !== undefined) return wide;
  const omitted = rows.find((row) => row.omitted !== undefined);
  if (omitted !== undefined)
    return `the ${omitted.omitted} bytes of '${omitted.name}' are not read`;
  return { rows, version: rows.find(({ inode }) => inode === 0)?.version ?? 1, files, directories };
}

/** A name that does not exist in `directory`. */
function freshName(directory: string): string {
  return `${freeName(join(directory, `config-${compactTime()}`), [".db"])}.db`;
}

/** Copies that this command made, in the order of their names' times. */
function ownCopies(directory: string): string[] {
  const copies = readdirSync(directory).flatMap((name) => {
    const [, time = "", count = "1"] = OWN_NAME.exec(name) ?? [];
    return time === "" ? [] : [{ name, key: time + count.padStart(12, "0") }];
  });
  return copies.toSorted((a, b) => (a.key < b.key ? -1 : 1)).map(({ name }) => name);
}

/** Removes all copies but `made` and the newest `keep - 1` others; returns the removed names. */
function removeOldest(directory: string, keep: number, made: string): string[] {
  const others = ownCopies(directory).filter((name) => name !== made);
  const old = others.slice(0, Math.max(0, others.length - (keep - 1)));
  for (const name of old) rmSync(join(directory, name));
  return old;
}

export interface BackupOptions {
  readonly database: string;
  /** A directory (the copy gets a name with the time), or a file that does not exist. */
  readonly target: string;
  /** In a directory: the number of copies to keep. */
  readonly keep: number | undefined;
}

/** Makes a copy; a text says why not, and then no file is left. */
export function backupDatabase({ database, target, keep }: BackupOptions): Backup | string {
  const sound = soundRows(database);
  if (typeof sound === "string") return sound;
  try {
    const isDirectory = statSync(target, { throwIfNoEntry: false })?.isDirectory() ?? false;
    if (keep !== undefined && !isDirectory) return `${target}: --keep needs a directory`;
    const file = isDirectory ? freshName(target) : target;
    if (existsSync(file)) return `${file} already exists: name another file, or a directory`;
    const { rows, version, files, directories } = sound;
    const checksum = checksumOf(rows);
    const problem = writeConfigDbRows(file, rows) ?? differs(file, checksum);
    if (problem !== undefined) return problem;
    const removed = keep === undefined ? [] : removeOldest(target, keep, basename(file));
    return { file, version, checksum, files, directories, removed };
  } catch (error) {
    return errorText(error);
  }
}

/** Reads a copy back: it must be sound, and have the same tree. */
function differs(file: string, checksum: string): string | undefined {
  const copy = soundRows(file);
  if (typeof copy !== "string" && checksumOf(copy.rows) === checksum) return undefined;
  rmSync(file, { force: true });
  return `the copy differs from what was read${typeof copy === "string" ? `: ${copy}` : ""}`;
}

export interface Restored {
  readonly version: number;
  /** The new name of the previous database. */
  readonly kept: string | undefined;
}

/**
 * Replaces `database` by the tree of `backup`, and keeps it under another name; a text says why
 * not.
 */
export function restoreDatabase(backup: string, database: string): Restored | string {
  const sound = soundRows(backup);
  if (typeof sound === "string") return `${backup}: ${sound}`;
  const draft = `${database}.restore-${process.pid}`;
  const problem = writeConfigDbRows(draft, sound.rows) ?? differs(draft, checksumOf(sound.rows));
  if (problem !== undefined) return problem;
  try {
    const kept = replaceDatabase(draft, database);
    return { version: sound.version, kept };
  } catch (error) {
    rmSync(draft, { force: true });
    return errorText(error);
  }
}
