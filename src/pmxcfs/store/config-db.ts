/**
 * pmxcfs's config.db as the source of the tree: loaded whole or refused whole, then followed row
 * by row as another process changes it. Never written. A change that would leave no sound tree is
 * not taken over: what was served stays. C counterpart: database.c.
 */
import type { Database } from "bun:sqlite";
import type { Log } from "../../base/log.ts";
import { isWithin, type Entry, type Memdb } from "../state/memdb.ts";
import { LogOnce } from "../../base/log-once.ts";
import { errorText } from "../../base/error-text.ts";
import { Reloads } from "./reloads.ts";
import { selectAll, SqliteFile, type Poll } from "./sqlite-file.ts";
import { duplicateGuests, newEntry, plant, problemsOf, RowType, type Row } from "./tree-rows.ts";

/** The columns that `rowOf` reads, in its order. */
export const SELECT_COLUMNS =
  "inode, parent, version, writer, mtime, type, CAST(name AS BLOB), CAST(data AS BLOB)";
const ALL_ROWS = `SELECT ${SELECT_COLUMNS} FROM tree ORDER BY inode`;
const ONE_ROW = `SELECT ${SELECT_COLUMNS} FROM tree WHERE inode = ?`;
const HEADS = "SELECT inode, parent, version, mtime, type, length(data) FROM tree";

/** A change that sets another mtime than this close to now is a utime, not a write. */
const WRITE_WITHIN_S = 5;

export interface ConfigDbOptions {
  readonly file: string;
  /** Empty. */
  readonly memdb: Memdb;
  readonly log: Log;
}

/** What differs from the tree. */
interface Difference {
  readonly changed: readonly Row[];
  readonly gone: readonly Entry[];
  readonly rootVersion: number;
}

const NO_DATA = new Uint8Array(0);

function toNumber(column: unknown): number {
  return typeof column === "number" ? column : Number.NaN;
}

/** A row as the tree's rules want it; the C server reads the name as a C string. */
export function rowOf(columns: readonly unknown[]): Row {
  const [inode, parent, version, writer, mtime, type, name, data] = columns;
  const text = name instanceof Uint8Array ? Buffer.from(name).toString("latin1") : "";
  const nul = text.indexOf("\0");
  return {
    inode: toNumber(inode),
    parent: toNumber(parent),
    version: toNumber(version),
    writer: toNumber(writer) >>> 0,
    mtime: toNumber(mtime) >>> 0,
    type: toNumber(type) & 0xff,
    name: nul < 0 ? text : text.slice(0, nul),
    data: data instanceof Uint8Array ? data : NO_DATA,
  };
}

/** All rows in the order in which the C server reads them. */
export function readRows(database: Database): Row[] {
  return selectAll(database, ALL_ROWS).map(rowOf);
}

function readSome(database: Database, inodes: readonly number[]): Row[] {
  const statement = database.prepare(ONE_ROW);
  try {
    return inodes.map((inode) => rowOf(statement.values(inode)[0] ?? []));
  } finally {
    statement.finalize();
  }
}

function rowOfEntry(entry: Entry): Row {
  const { inode, version, writer, mtime, name, bytes, kind, parent } = entry;
  const type = kind === "directory" ? RowType.DIRECTORY : RowType.FILE;
  return { inode, version, writer, mtime, name, type, data: bytes, parent: parent?.inode ?? 0 };
}

/** Same place, same kind. */
function isInPlace(entry: Entry, row: Row): boolean {
  const type = entry.kind === "directory" ? RowType.DIRECTORY : RowType.FILE;
  return entry.parent?.inode === row.parent && entry.name === row.name && type === row.type;
}

function isEqual(entry: Entry, row: Row): boolean {
  const stamps = entry.version === row.version && entry.mtime === row.mtime;
  return stamps && isInPlace(entry, row) && Buffer.compare(entry.bytes, row.data) === 0;
}

export class ConfigDb implements Disposable {
  readonly #memdb: Memdb;
  readonly #log: Log;
  readonly #file: SqliteFile;
  readonly reloads: Reloads;
  #entries: Map<number, Entry>;
  #rootVersion: number;
  /** The last difference was not taken over: the next look compares everything. */
  #behind = false;
  readonly #complaints: LogOnce;

  private constructor(
    options: ConfigDbOptions,
    file: SqliteFile,
    rows: readonly Row[],
    startedMs: number,
  ) {
    this.#memdb = options.memdb;
    this.#log = options.log;
    this.#complaints = new LogOnce((line) => options.log.warn(`${file.path}: ${line}`));
    this.#file = file;
    this.#rootVersion = rows.find((row) => row.inode === 0)?.version ?? 0;
    this.#entries = plant(options.memdb, rows);
    this.reloads = new Reloads(startedMs, ["database"]);
  }

  /** Fills the tree; a text that says why when the file is refused, and the tree is as it was. */
  static open(options: ConfigDbOptions): ConfigDb | string {
    const startedMs = performance.now();
    const file = SqliteFile.open(options.file);
    if (typeof file === "string") return file;
    try {
      const rows = file.read(readRows);
      const [problem] = problemsOf(rows);
      if (problem === undefined) {
        const opened = new ConfigDb(options, file, rows, startedMs);
        const [duplicate] = duplicateGuests(options.memdb);
        if (duplicate === undefined) return opened;
        for (const entry of options.memdb.root.children.values()) options.memdb.remove(entry);
        file[Symbol.dispose]();
        return duplicate;
      }
      file[Symbol.dispose]();
      return problem.reason;
    } catch (error) {
      file[Symbol.dispose]();
      return errorText(error);
    }
  }

  /** Version of the whole tree, as row 0 has it. */
  get version(): number {
    return this.#rootVersion;
  }

  /** Takes over what others committed since the last call. Microseconds when they did not. */
  refresh(): void {
    try {
      const poll = this.#file.poll();
      if (poll === "unchanged") return;
      if (poll === "missing") this.#complaints.say("it is gone; what was in it is served on");
      else this.#follow(poll);
    } catch (error) {
      this.#behind = true;
      this.reloads.failures++;
      this.#complaints.say(`cannot be read (${errorText(error)}); what was in it is served on`);
    }
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
  }

  #follow(poll: Poll): void {
    const startedMs = performance.now();
    const quick = poll === "committed" && !this.#behind;
    const difference = this.#file.read((database) => {
      const found = quick ? this.#compareHeads(database) : undefined;
      return found ?? this.#compareAll(database);
    });
    const problem = this.#problemOf(difference);
    this.#behind = problem !== undefined;
    if (problem !== undefined) {
      this.reloads.failures++;
      this.#complaints.say(`change not taken over: ${problem}; the state before it is served on`);
      return;
    }
    this.#complaints.clear();
    this.#rootVersion = difference.rootVersion;
    this.#apply(difference);
    // A directory that took another one's place while that one moved: what was below is put back.
    if (this.#memdb.entryCount !== this.#entries.size - 1) {
      this.#apply(this.#file.read((database) => this.#compareAll(database)));
    }
    this.reloads.done("database", startedMs);
    if (poll !== "replaced") return;
    const { changed, gone } = difference;
    this.#log.warn(
      `${this.#file.path}: another file is in its place: ` +
        `${changed.length} entries new or changed, ${gone.length} gone`,
    );
  }

  /** By row heads alone; undefined when the writer did not count its changes as pmxcfs does. */
  #compareHeads(database: Database): Difference | undefined {
    const differing: number[] = [];
    const seen = new Set<number>();
    let rootVersion = 0;
    for (const [inode, parent, version, mtime, type, size] of selectAll(database, HEADS)) {
      if (inode === 0) rootVersion = toNumber(version);
      if (inode === 0) continue;
      seen.add(toNumber(inode));
      const entry = this.#entries.get(toNumber(inode));
      const isFile = type === RowType.FILE;
      const same =
        entry?.version === version &&
        entry?.mtime === mtime &&
        entry?.parent?.inode === parent &&
        (entry?.kind === "file") === isFile &&
        entry?.bytes.length === (size ?? 0);
      if (!same) differing.push(toNumber(inode));
    }
    if (rootVersion <= this.#rootVersion) return undefined;
    return { changed: readSome(database, differing), gone: this.#notIn(seen), rootVersion };
  }

  #compareAll(database: Database): Difference {
    const rows = readRows(database);
    const changed = rows.filter((row) => {
      const entry = this.#entries.get(row.inode);
      return row.inode !== 0 && (entry === undefined || !isEqual(entry, row));
    });
    const root = rows.find((row) => row.inode === 0);
    // A row 0 that is not the version row is refused like any other unsound row.
    if (root !== undefined && problemsOf([root]).length > 0) changed.push(root);
    const seen = new Set(rows.map((row) => row.inode));
    return { changed, gone: this.#notIn(seen), rootVersion: root?.version ?? 0 };
  }

  #notIn(seen: ReadonlySet<number>): Entry[] {
    return [...this.#entries.values()].filter(({ inode }) => inode !== 0 && !seen.has(inode));
  }

  #problemOf({ changed, gone }: Difference): string | undefined {
    const structural = changed.some((row) => {
      const entry = this.#entries.get(row.inode);
      return entry === undefined || !isInPlace(entry, row);
    });
    if (!structural && gone.length === 0) return problemsOfEach(changed);
    const left = new Map(this.#entries);
    for (const { inode } of gone) left.delete(inode);
    for (const { inode } of changed) left.delete(inode);
    left.delete(0);
    const rows = [...[...left.values()].map(rowOfEntry), ...changed];
    return problemsOf(rows)[0]?.reason;
  }

  #apply({ changed, gone }: Difference): void {
    const targets = new Set(changed.map((row) => `${row.parent}/${row.name}`));
    for (const entry of gone) {
      this.#entries.delete(entry.inode);
      // A file that another one replaces is told of once, when that one takes its place.
      const replaced = targets.has(`${entry.parent?.inode ?? 0}/${entry.name}`);
      if (entry.kind === "file" && !replaced) this.#memdb.remove(entry);
    }
    let waiting = changed;
    while (waiting.length > 0) {
      const later = waiting.filter((row) => !this.#applyRow(row));
      if (later.length === waiting.length) break;
      waiting = later;
    }
    for (const entry of gone) if (entry.parent !== undefined) this.#memdb.remove(entry);
  }

  /** False while the row's directory is not there yet, or still in the one that moves into it. */
  #applyRow(row: Row): boolean {
    const parent = this.#entries.get(row.parent);
    const entry = this.#entries.get(row.inode);
    if (parent === undefined || (entry !== undefined && isWithin(parent, entry))) return false;
    const kind = row.type === RowType.DIRECTORY ? "directory" : "file";
    if (entry === undefined || entry.kind !== kind || entry.parent === undefined) {
      if (entry?.parent !== undefined) this.#memdb.remove(entry);
      this.#entries.set(row.inode, this.#memdb.add(parent, newEntry(row)));
      return true;
    }
    const sameBytes = Buffer.compare(entry.bytes, row.data) === 0;
    const moved = !isInPlace(entry, row);
    if (moved) this.#memdb.move(entry, parent, row.name, row);
    if (!sameBytes) this.#memdb.write(entry, row.data, row);
    else if (moved) return true;
    else if (kind === "file" && !isUtime(entry, row)) this.#memdb.write(entry, row.data, row);
    else this.#memdb.touch(entry, row);
    return true;
  }
}

/** The same bytes again: a rewrite sets the time it happened, a utime any other. */
function isUtime(entry: Entry, row: Row): boolean {
  const now = Date.now() / 1000;
  return row.mtime !== entry.mtime && Math.abs(now - row.mtime) > WRITE_WITHIN_S;
}

/** Rows that stay where they are, each by itself. */
function problemsOfEach(rows: readonly Row[]): string | undefined {
  for (const row of rows) {
    const [problem] = problemsOf([{ ...row, parent: 0 }]);
    if (problem !== undefined) return problem.reason;
  }
  return undefined;
}
