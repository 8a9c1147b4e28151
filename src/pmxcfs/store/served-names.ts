/**
 * Second names (hard links) of a config.db and its -wal while they are served: `config.db.served`
 * and `config.db.served-wal`. A server that is killed leaves them. They show the next start that
 * another file was put in the place of config.db: SQLite would apply the -wal of the old one to it,
 * and the tree would be a mixture. They also keep the old file, which would be gone otherwise. No C
 * counterpart: pmxcfs mixes them.
 */
import { existsSync, linkSync, rmSync, statSync } from "node:fs";
import { compactTime } from "../../base/compact-time.ts";
import { errorText } from "../../base/error-text.ts";
import type { Log } from "../../base/log.ts";
import { isSameFile } from "../../platform/files.ts";
import { freeName } from "./free-name.ts";
import { behindLinks, InputFile } from "./sqlite/input-file.ts";

const SERVED = ".served";
const CHUNK_BYTES = 64 * 1024;
/** Within this time a server notices that another file is in the place of its own. */
const NOTICED_MS = 2_000;

/** The names beside the file that symlinks lead to, as SQLite has the -wal there. */
function namesOf(file: string): { real: string; wal: string; served: string; servedWal: string } {
  const real = behindLinks(file);
  const served = real + SERVED;
  return { real, wal: `${real}-wal`, served, servedWal: `${served}-wal` };
}

/** To be called when SQLite has opened the database, and made its -wal. */
export function addServedNames(file: string): void {
  const { real, wal, served, servedWal } = namesOf(file);
  removeServedNames(file);
  try {
    linkSync(real, served);
    linkSync(wal, servedWal);
  } catch {
    // A file system without hard links: the next start notices nothing.
  }
}

/** To be called when the database was closed in order, or is served from another file. */
export function removeServedNames(file: string): void {
  const { served, servedWal } = namesOf(file);
  try {
    // In this order: an old -wal must not get a new database.
    for (const name of [servedWal, served]) rmSync(name, { force: true });
  } catch {
    // Read-only: the next start finds that they are the names of config.db.
  }
}

function open(path: string): InputFile {
  const file = InputFile.open(path);
  if (typeof file === "string") throw new Error(`${path}: ${file}`);
  return file;
}

/** Whether two files have the same bytes. SQLite has none of them open: it would lose its locks. */
function isEqual(one: string, other: string): boolean {
  using a = open(one);
  using b = open(other);
  if (a.size() !== b.size()) return false;
  const [left, right] = [Buffer.alloc(CHUNK_BYTES), Buffer.alloc(CHUNK_BYTES)];
  for (let at = 0; ; at += CHUNK_BYTES) {
    const [got, had] = [a.read(left, at), b.read(right, at)];
    if (got !== had || !left.subarray(0, got).equals(right.subarray(0, had))) return false;
    if (got < CHUNK_BYTES) return true;
  }
}

/** Whether another file, or none, is in the place of the one that is, or was, served. */
function isElsewhere(file: string): boolean {
  const { real, served } = namesOf(file);
  return existsSync(served) && !isSameFile(served, real);
}

/** The same with other content. Throws the kernel's error. */
function isReplaced(file: string): boolean {
  const { real, served } = namesOf(file);
  // A copy of the directory, or of config.db in its own place: the -wal belongs to it.
  return isElsewhere(file) && (!existsSync(real) || !isEqual(served, real));
}

/**
 * Whether the -wal in its place is that of the file that was served, and of no other: if it was
 * written to longer after another file was put there than a server takes to notice that, a C server
 * has used it with that one.
 */
function isOldLog(file: string): boolean {
  const { real, wal, servedWal } = namesOf(file);
  if (!isSameFile(servedWal, wal)) return false;
  const putMs = statSync(real, { throwIfNoEntry: false })?.ctimeMs ?? Infinity;
  return statSync(wal).mtimeMs <= putMs + NOTICED_MS;
}

/** Whether the -wal beside `file` is another one's. Throws the kernel's error. */
export function hasForeignLog(file: string): boolean {
  return isReplaced(file) && isOldLog(file);
}

/** To be called by a command before SQLite opens the database. Throws, also the kernel's error. */
export function demandOwnLog(file: string): void {
  if (!hasForeignLog(file)) return;
  throw new Error(
    "another file is in its place since the last server was killed: run " +
      "`pmxcfs-ipc config flush` first, which sets the -wal aside",
  );
}

/**
 * Names the file that was served `config.db.replaced-TIME`, with its -wal if that is still beside
 * config.db. Returns the name; throws the kernel's error.
 */
function renamedServed(file: string): string {
  const { real, wal, served, servedWal } = namesOf(file);
  const kept = freeName(`${real}.replaced-${compactTime()}`, ["", "-wal"]);
  // A kill between any two of these steps is noticed at the next start.
  linkSync(served, kept);
  // A -wal that is no longer in its place is in the database, and may be older than it.
  if (isOldLog(file)) {
    linkSync(servedWal, `${kept}-wal`);
    rmSync(wal);
  }
  rmSync(served);
  rmSync(servedWal, { force: true });
  return kept;
}

/**
 * To be called before SQLite opens the database `file`: keeps what a killed server served, if that
 * is another file, logs that, and returns its new name. Throws the kernel's error.
 */
export function keepReplaced(file: string, log: Log): string | undefined {
  if (!isReplaced(file)) return undefined;
  const kept = renamedServed(file);
  const what = existsSync(file) ? "another file is in its place" : "it is gone";
  log.error(
    `${file}: ${what} since the last server was killed. What that one served is kept as ${kept}: ` +
      `\`pmxcfs-ipc config diff ${kept} ${file}\` compares them`,
  );
  return kept;
}

/**
 * To be called by a server that has no room for a copy of what it serves, while another file is in
 * the place of that: keeps it by name, also if the server is killed then.
 */
export function keepByName(file: string, log: Log): void {
  try {
    if (isElsewhere(file)) log.error(`${file}: what is served is kept as ${renamedServed(file)}`);
  } catch (error) {
    log.error(`${file}: what is served cannot be kept by name, either: ${errorText(error)}`);
  }
}
