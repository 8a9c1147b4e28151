/**
 * Reads everything that can be read from a config.db: its rows as the C server would read them, or,
 * if it could not, those of every readable page of the file and of its -wal. Nothing is written,
 * created or locked. SQLite itself is run on an image in memory, to find out what it (and so the C
 * server) would report.
 */
import { Database } from "bun:sqlite";
import { counted } from "../../base/counted.ts";
import { errorText } from "../../base/error-text.ts";
import { drained } from "../../base/steps.ts";
import { InputFile } from "../store/sqlite/input-file.ts";
import { Malformed } from "../store/sqlite/malformed.ts";
import { PageSource, type Overlay } from "../store/sqlite/page-source.ts";
import { readJournal } from "../store/sqlite/rollback-journal.ts";
import { RowNumbers } from "../store/sqlite/row.ts";
import { TreeTable } from "../store/sqlite/tree-table.ts";
import type { Row } from "../store/tree-rows.ts";
import { readRows, selectAll } from "../store/sqlite-rows.ts";
import { openSource, textOfSource, type RescueSource } from "./open-source.ts";
import { pendingChanges } from "./pending-changes.ts";
import { parseDump } from "./sql-dump.ts";
import {
  describeWal,
  frameImages,
  openWal,
  ownerOf,
  type OpenWal,
  type WalReport,
} from "./write-ahead-log.ts";

/** A larger database is not copied into memory to run SQLite on it. */
const IMAGE_BYTES = 256 * 1024 * 1024;
/** Bound on the content of one row; as large as the whole tree may be. */
const LIMITS = { dataBytes: 128 * 1024 * 1024 };
const PAGE_SIZES = [4096, 512, 1024, 2048, 8192, 16_384, 32_768, 65_536];

/** Why the C server cannot read rows at all, before any rule about them. */
export type FileProblemKind =
  | "missing"
  | "not-a-file"
  | "unreadable"
  | "empty"
  | "empty-with-wal"
  | "no-table"
  | "not-a-database"
  | "damaged";

export interface FileProblem {
  readonly kind: FileProblemKind;
  readonly text: string;
}

export interface ReadDatabase {
  readonly format: "database" | "dump" | "none";
  /** In the order in which the C server reads them. */
  readonly rows: readonly Row[];
  /** Why the C server would not read these rows; undefined when it would. */
  readonly problem: FileProblem | undefined;
  /** Unusual things that do not keep it from being read. */
  readonly notes: readonly string[];
  readonly wal: WalReport | undefined;
  /** Rows were salvaged: some may be missing, some out of date. */
  readonly isPartial: boolean;
  /** The declaration of the table, where one was found. */
  readonly sql: string | undefined;
}

interface Walk {
  readonly rows: Map<number, Row>;
  readonly order: Row[];
  readonly visited: ReadonlySet<number>;
  readonly damaged: number;
  readonly table: TreeTable | undefined;
  readonly numbers: RowNumbers;
}

/** Reads `file`, whatever it contains. Throws for no content. */
export function readDatabase(file: string): ReadDatabase {
  const source = openSource(file);
  if (typeof source === "string") return nothing(notAFile(source));
  using opened = source;
  try {
    if (opened.kind === "dump") return readDump(opened);
    const changes = pendingChanges(file);
    return withChanges(new Reading(opened.path ?? file, opened).read(), changes);
  } catch (error) {
    return nothing({ kind: "unreadable", text: errorText(error) });
  }
}

/** Applies the changes of the journal beside a database, also to what was salvaged of it. */
function withChanges(read: ReadDatabase, changes: ReturnType<typeof pendingChanges>): ReadDatabase {
  const { format, problem, isPartial, notes } = read;
  if (format !== "database" || (problem !== undefined && !isPartial)) return read;
  const { rows, note } = changes(read.rows, isPartial);
  return { ...read, rows, notes: note === undefined ? notes : [...notes, note] };
}

function nothing(problem: FileProblem): ReadDatabase {
  const none = { rows: [], notes: [], wal: undefined, isPartial: false, sql: undefined };
  return { format: "none", problem, ...none };
}

function notAFile(text: string): FileProblem {
  if (text === "no such file") {
    return { kind: "missing", text: `${text}: pmxcfs would start and show an empty /etc/pve` };
  }
  if (text === "it is a directory") {
    return { kind: "not-a-file", text: `${text}: splite3_open_v2 failed: 14` };
  }
  if (text.startsWith("it is a ")) return { kind: "not-a-file", text };
  return { kind: "unreadable", text };
}

function readDump(source: RescueSource): ReadDatabase {
  const { rows, isWhole, unread } = parseDump(textOfSource(source));
  const packed = source.isPacked ? "a gzipped SQL dump" : "an SQL dump";
  const notes = [
    `it is ${packed} (what pvecm keeps in /var/lib/pve-cluster/backup), not a database: ` +
      "`config export` it and `config import` the files to get one that pmxcfs can start with",
  ];
  const cut = source.problem ?? (isWhole ? undefined : "it ends before its COMMIT");
  const bad = unread > 0 ? `${counted(unread, "INSERT statement")} could not be read` : undefined;
  const text = [cut, bad].filter((each) => each !== undefined).join("; ");
  const problem: FileProblem | undefined = text === "" ? undefined : { kind: "damaged", text };
  const isPartial = problem !== undefined;
  return { format: "dump", rows, problem, notes, wal: undefined, isPartial, sql: undefined };
}

const RESTORE_FIRST =
  "pmxcfs would start and show an empty /etc/pve; restore it before pve-cluster is started";

class Reading {
  readonly #path: string;
  readonly #source: RescueSource;
  readonly #notes: string[] = [];

  constructor(path: string, source: RescueSource) {
    this.#path = path;
    this.#source = source;
    if (source.isPacked) this.#notes.push("it is gzipped: pmxcfs cannot start with it as it is");
    if (source.problem !== undefined) this.#notes.push(source.problem);
  }

  read(): ReadDatabase {
    const { path } = this.#source;
    const wal = path === undefined ? undefined : openWal(path);
    if (typeof wal === "string") this.#notes.push(`${this.#path}-wal: ${wal}`);
    const log = typeof wal === "object" ? wal : undefined;
    try {
      return this.#readWith(log);
    } finally {
      log?.[Symbol.dispose]();
    }
  }

  #readWith(wal: OpenWal | undefined): ReadDatabase {
    const { bytes } = this.#source;
    const hasFrames = (wal?.report.committed ?? 0) > 0;
    if (bytes.size() <= 1) return this.#empty(wal);
    const journal = this.#source.path === undefined ? undefined : this.#journal();
    const log = hasFrames && wal?.frames !== undefined ? wal.frames : undefined;
    const overlay: Overlay | undefined =
      log !== undefined && wal !== undefined ? { file: wal.file, log } : journal;
    const reported = this.#problemOfSqlite(overlay);
    const walk = this.#walk(overlay, reported !== undefined);
    if (wal !== undefined) this.#noteWal(wal, walk);
    const isWhole = reported === undefined && walk !== undefined && walk.damaged === 0;
    if (isWhole) return this.#result(walk.order, undefined, wal, walk, false);
    if (reported?.kind === "no-table") return this.#result([], reported, wal, walk, false);
    const rows = this.#salvaged(walk, wal);
    const problem = reported ?? { kind: "damaged" as const, text: new Malformed().message };
    return this.#result(rows, problem, wal, walk, true);
  }

  /** 0 bytes: SQLite removes the -wal of such a file when it opens it, and starts a new one. */
  #empty(wal: OpenWal | undefined): ReadDatabase {
    const size = this.#source.bytes.size();
    if (wal === undefined || wal.report.bytes === 0) {
      const text = `it is empty (${size} bytes): ${RESTORE_FIRST}`;
      return this.#result([], { kind: "empty", text }, wal, undefined, false);
    }
    const overlay = wal.frames === undefined ? undefined : { file: wal.file, log: wal.frames };
    const walk = (wal.frames?.committed ?? 0) > 0 ? this.#walk(overlay, true) : undefined;
    wal.report.belongs = walk === undefined ? "unknown" : "yes";
    const text =
      `it is empty (${size} bytes) while ${this.#path}-wal has ${wal.report.bytes} bytes: ` +
      "pmxcfs must NOT be started, it would delete the -wal and come up with an empty /etc/pve; " +
      "`config export` gets the files from the -wal";
    const rows = this.#salvaged(walk, wal);
    return this.#result(rows, { kind: "empty-with-wal", text }, wal, walk, true);
  }

  #result(
    rows: readonly Row[],
    problem: FileProblem | undefined,
    wal: OpenWal | undefined,
    walk: Walk | undefined,
    isPartial: boolean,
  ): ReadDatabase {
    const odd = [...(walk?.numbers.notIntegers ?? [])];
    if (odd.length > 0) {
      this.#notes.push(
        `columns that hold no integers, read as SQLite converts them: ${odd.join(", ")}`,
      );
    }
    if (wal !== undefined) this.#notes.push(describeWal(this.#path, wal.report));
    const sql = walk?.table?.sql;
    const common = { problem, isPartial, sql, notes: this.#notes, wal: wal?.report };
    return { format: "database", rows, ...common };
  }

  #journal(): Overlay | undefined {
    const file = InputFile.open(`${this.#path}-journal`);
    if (typeof file === "string") return undefined;
    const log = drained(readJournal(file));
    if (log === undefined) {
      const size = file.size();
      file[Symbol.dispose]();
      if (size > 0) this.#notes.push(`${this.#path}-journal: ${size} bytes, nothing in it counts`);
      return undefined;
    }
    this.#notes.push(
      `${this.#path}-journal: a transaction that did not end (or is under way): read without it, ` +
        `${counted(log.pages.size, "page")} as before it`,
    );
    return { file, log };
  }

  /**
   * What SQLite reports for the statements of the C server's start; undefined when it reads the
   * rows.
   */
  #problemOfSqlite(overlay: Overlay | undefined): FileProblem | undefined {
    const { bytes } = this.#source;
    const head = PageSource.open(bytes, overlay);
    if (typeof head === "string") {
      const kind = head === "file is not a database" ? "not-a-database" : "damaged";
      return { kind, text: `unable to set WAL mode: ${head}` };
    }
    if (head.pageCount * head.pageBytes > IMAGE_BYTES) return undefined;
    const image = Buffer.alloc(head.pageCount * head.pageBytes);
    for (let page = 1; page <= head.pageCount; page++) {
      head.page(page).copy(image, (page - 1) * head.pageBytes);
    }
    // A database in memory has no -wal: the header has to say so.
    image.fill(1, 18, 20);
    return askSqlite(image, this.#notes);
  }

  #walk(overlay: Overlay | undefined, isDamaged: boolean): Walk | undefined {
    const source = PageSource.open(this.#source.bytes, overlay);
    const walk = typeof source === "string" ? undefined : walkTable(source);
    // If the schema can be read the page size is right, whatever else is damaged.
    if (!isDamaged || walk !== undefined) return walk;
    return this.#walkOtherSize(typeof source === "string" ? 0 : source.pageBytes);
  }

  /** The walk with the page size that gives most rows; `declared`: that of the header, or 0. */
  #walkOtherSize(declared: number): Walk | undefined {
    let best: Walk | undefined;
    for (const size of PAGE_SIZES) {
      if (size === declared) continue;
      const other = PageSource.open(this.#source.bytes, undefined, size);
      const walk = typeof other === "string" ? undefined : walkTable(other);
      if (walk === undefined || walk.rows.size <= (best?.rows.size ?? 0)) continue;
      best = walk;
      if (walk.damaged === 0) {
        const header = declared === 0 ? "no page size" : `pages of ${declared} bytes`;
        this.#notes.push(`the header says ${header}; its pages have ${size} bytes and are whole`);
        break;
      }
    }
    return best;
  }

  /** Records whether the -wal belongs to this database: compares the rows with and without it. */
  #noteWal(wal: OpenWal, together: Walk | undefined): void {
    const { frames, report } = wal;
    if (frames === undefined || report.committed === 0 || together === undefined) return;
    const source = PageSource.open(this.#source.bytes, undefined);
    const alone = typeof source === "string" ? undefined : walkTable(source);
    const hasTablePage = [...together.visited].some((page) => frames.pages.has(page));
    report.belongs = ownerOf(alone?.rows ?? new Map(), together.rows, hasTablePage);
  }

  /**
   * Rows of the walk, and of every page image that the walk did not reach; the newest per inode.
   */
  #salvaged(walk: Walk | undefined, wal: OpenWal | undefined): Row[] {
    const rows = new Map(walk?.rows);
    const before = rows.size;
    for (const row of looseRows(this.#source, walk, wal)) {
      const other = rows.get(row.inode);
      if (other === undefined || other.version < row.version) rows.set(row.inode, row);
    }
    const found = rows.size - before;
    if (found > 0) {
      this.#notes.push(`${counted(found, "entry")} found in loose pages, may be out of date`);
    }
    return [...rows.values()].toSorted((a, b) => a.inode - b.inode);
  }
}

/** The table by its b-tree; damaged pages are skipped and counted. */
function walkTable(source: PageSource): Walk | undefined {
  const numbers = new RowNumbers();
  const visited = new Set<number>();
  const rows = new Map<number, Row>();
  const order: Row[] = [];
  let damaged = 0;
  const onDamage = (): void => void damaged++;
  let table: TreeTable | string | undefined;
  try {
    table = TreeTable.find(source, LIMITS, numbers);
  } catch (error) {
    if (!(error instanceof Malformed) && !(error instanceof RangeError)) throw error;
  }
  if (typeof table !== "object") return undefined;
  for (const page of table.pages(onDamage)) {
    visited.add(page);
    try {
      for (const row of drained(table.rows(page)).rows) {
        rows.set(row.inode, row);
        order.push(row);
      }
    } catch (error) {
      if (!(error instanceof Malformed) && !(error instanceof RangeError)) throw error;
      damaged++;
      visited.delete(page);
    }
  }
  if (table.byInode) order.sort((a, b) => a.inode - b.inode);
  return { rows, order, visited, damaged, table, numbers };
}

/** Rows of pages of the file that the walk did not reach, and of all frames of the -wal. */
function* looseRows(
  { bytes }: RescueSource,
  walk: Walk | undefined,
  wal: OpenWal | undefined,
): Generator<Row> {
  const plain = PageSource.open(bytes, undefined);
  const overlay = wal?.frames === undefined ? undefined : { file: wal.file, log: wal.frames };
  const sizes = typeof plain === "string" ? PAGE_SIZES.slice(0, 1) : [plain.pageBytes];
  for (const size of walk === undefined && typeof plain !== "string" ? [...sizes, 4096] : sizes) {
    const source = PageSource.open(bytes, overlay, size);
    if (typeof source === "string") continue;
    const table = TreeTable.assumed(source, LIMITS, walk?.numbers ?? new RowNumbers());
    for (let page = 1; page <= source.pageCount; page++) {
      if (walk?.visited.has(page) !== true) yield* table.carve(source.page(page), page === 1);
    }
    if (wal === undefined) continue;
    for (const image of frameImages(wal.file, wal.frames?.pageBytes ?? size)) {
      yield* table.carve(image, image.toString("latin1", 0, 15) === "SQLite format 3");
    }
  }
}

/** A statement that the C server prepares: it fails without the columns, or on a view. */
const STATEMENT =
  "INSERT INTO tree (inode, parent, version, writer, mtime, type, name, data) " +
  "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

/** Runs the steps by which the C server opens it: journal mode, its statements, its SELECT. */
function askSqlite(image: Buffer, notes: string[]): FileProblem | undefined {
  let database: Database | undefined;
  let step = "unable to set WAL mode: ";
  try {
    database = Database.deserialize(image, false);
    const tables = selectAll(
      database,
      "SELECT count(*) FROM sqlite_schema WHERE name = 'tree' COLLATE NOCASE",
    );
    if (tables[0]?.[0] === 0) {
      return { kind: "no-table", text: `it has no table "tree": ${RESTORE_FIRST}` };
    }
    step = "sqlite3_prepare 'sql_insert_entry' failed: ";
    database.prepare(STATEMENT).finalize();
    step = "select returned error: ";
    readRows(database);
    step = "quick_check failed: ";
    for (const text of quickCheck(database)) notes.push(`SQLite's quick_check: ${text}`);
    return undefined;
  } catch (error) {
    const reason = errorText(error);
    const kind = reason === "file is not a database" ? "not-a-database" : "damaged";
    return { kind, text: `${step}${reason}` };
  } finally {
    database?.close();
  }
}

/** What SQLite's own check finds besides the errors of a SELECT. */
function quickCheck(database: Database): string[] {
  return selectAll(database, "PRAGMA quick_check(5)")
    .flatMap(([text]) => String(text).split("\n"))
    .filter((text) => text !== "ok" && !text.startsWith("***"));
}
