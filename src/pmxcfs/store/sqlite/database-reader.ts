/**
 * Reads the rows of a config.db that another program writes, without SQLite: takes no lock, makes
 * no -shm, changes nothing. Follows commits in the -wal page by page, so that the cost of a change
 * depends on its size; anything else (a checkpoint that restarted the log, a commit in rollback
 * mode, another file at the path) costs a read of every page. Reads in steps.
 *
 * Consistency without locks: reads the log up to its last commit, then the pages, then the log
 * again, and repeats that for pages that were committed meanwhile, until there are none. A page of
 * the file that a checkpoint overwrote meanwhile is always among those.
 */
import { type Row } from "../tree-rows.ts";
import { isSameStamp, type FileStamp } from "../file-walk.ts";
import { FileWatch } from "../watch.ts";
import { behindLinks, InputFile, stampAt } from "./input-file.ts";
import { PageSource, type Overlay } from "./page-source.ts";
import { readJournal } from "./rollback-journal.ts";
import { RowNumbers } from "./row.ts";
import { TreeTable, type PageRows, type TableLimits } from "./tree-table.ts";
import { WalFrames } from "./wal-frames.ts";
import { errorText } from "../../../base/error-text.ts";

/** A time stamp this fresh may hide a later change in the same tick of the kernel's clock. */
const RACY_MS = 20;
/** A frame whose checksum is still wrong this long after the last write was left by a crash. */
const TORN_MS = 1000;
/** Attempts to read without a commit in between. */
const ROUNDS = 8;
/** Unchanged pages, which are not read again, in one step. */
const STEP_PAGES = 64;

/** What differs from the last state. */
export interface TableUpdate {
  readonly changed: readonly Row[];
  readonly gone: readonly Row[];
  /** Another file (device, inode) is at the path now. */
  readonly replaced: boolean;
}

export interface ReaderLimits extends TableLimits {
  /** Total rows, and total bytes of content that are kept. */
  readonly rows: number;
  readonly totalBytes: number;
}

interface OpenLog {
  readonly file: InputFile;
  readonly frames: WalFrames;
  /** Header after the last valid frame when the log was read: of a frame that is being written. */
  next: string;
}

interface Files {
  readonly main: InputFile;
  readonly stamp: FileStamp;
  readonly wal: OpenLog | undefined;
  readonly journal: InputFile | undefined;
  readonly companions: string;
}

/** Device, inode, size and mtime of a -wal or -journal. */
function companionStamp(path: string): string {
  try {
    const stamp = stampAt(path);
    return stamp === undefined ? "" : `${stamp.dev}:${stamp.ino}:${stamp.size}:${stamp.mtimeMs}`;
  } catch {
    return "unreadable";
  }
}

export class DatabaseReader implements Disposable {
  readonly path: string;
  /** The path without symlinks when the files were opened. */
  #file: string;
  readonly #limits: ReaderLimits;
  readonly #watch: FileWatch;
  readonly #numbers = new RowNumbers();
  #files: Files | undefined;
  #pages = new Map<number, PageRows>();
  /** Stamps of the files when they could not be read; undefined when they could. */
  #unreadable: string | undefined;
  /** The file had a table at the last update. */
  hasTable = false;
  /** The file was empty at the last update, and all pages came from its -wal. */
  isWalAlone = false;

  private constructor(path: string, limits: ReaderLimits, watch: FileWatch) {
    this.path = path;
    this.#file = path;
    this.#limits = limits;
    this.#watch = watch;
  }

  /** The reader, or a text that says why the file cannot be opened. Nothing is read yet. */
  static open(path: string, limits: ReaderLimits): DatabaseReader | string {
    const file = InputFile.open(path);
    if (typeof file === "string") return file;
    file[Symbol.dispose]();
    try {
      return new DatabaseReader(path, limits, new FileWatch(path));
    } catch (error) {
      return errorText(error);
    }
  }

  /** Rows of the last update in the order in which the C server reads them. */
  *rows(): Generator<Row> {
    for (const { rows } of this.#pages.values()) yield* rows;
  }

  /** Takes half a microsecond when nothing happened. `missing`: the path does not exist. */
  look(): "unchanged" | "changed" | "missing" {
    if (!this.#watch.changedSinceLastCheck()) return "unchanged";
    const files = this.#files;
    const stamp = stampAt(this.path);
    if (stamp === undefined) return "missing";
    if (this.#unreadable !== undefined) {
      return this.#signature() === this.#unreadable ? "unchanged" : "changed";
    }
    if (files === undefined) return "changed";
    if (this.#companions(files.wal !== undefined) !== files.companions) return "changed";
    if (files.wal !== undefined && this.#walMoved(files.wal)) return "changed";
    // With a log that has commits, a change of the file alone is a checkpoint of the same pages.
    const isSameFile = stamp.ino === files.stamp.ino && stamp.dev === files.stamp.dev;
    if (isSameFile && (files.wal?.frames.committed ?? 0) > 0) return "unchanged";
    const isFresh = Date.now() - files.stamp.mtimeMs < RACY_MS;
    return isSameStamp(stamp, files.stamp) && !isFresh ? "unchanged" : "changed";
  }

  /** Reads what changed; a text in SQLite's words when the file cannot be read. */
  *update(): Generator<undefined, TableUpdate | string> {
    try {
      return yield* this.#read();
    } catch (error) {
      return this.#failed(errorText(error));
    }
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
    this.#close();
  }

  #close(): void {
    this.#files?.main[Symbol.dispose]();
    this.#files?.wal?.file[Symbol.dispose]();
    this.#files?.journal?.[Symbol.dispose]();
    this.#files = undefined;
  }

  /** Stamps of the companions. For a log that is read, only its inode: frames show what it got. */
  #companions(hasLog: boolean): string {
    const wal = companionStamp(`${this.#file}-wal`);
    const shown = hasLog ? wal.split(":").slice(0, 2).join(":") : wal;
    return `${shown} ${companionStamp(`${this.#file}-journal`)}`;
  }

  /** The log was restarted, another frame follows, or an incomplete one may be complete by now. */
  #walMoved({ file, frames, next }: OpenLog): boolean {
    if (!frames.isCurrent(file)) return true;
    const following = frames.peek();
    return following !== next || (next !== "" && Date.now() - file.stamp().mtimeMs < TORN_MS);
  }

  *#read(): Generator<undefined, TableUpdate | string> {
    const before = this.#pages;
    const was = this.#files?.stamp;
    let pages = before;
    for (let round = 0; round < ROUNDS; round++) {
      const problem = this.#reopen();
      const files = this.#files;
      if (files === undefined) return problem ?? "no such file";
      let touched: ReadonlySet<number> | "all" = "all";
      if (files.wal !== undefined) {
        yield* readFrames(files.wal);
        const fresh = files.wal.frames.takeTouched();
        if (problem === undefined) touched = fresh;
      }
      const read = yield* this.#readPages(files, pages, touched);
      if (typeof read === "string") return this.#failed(read);
      pages = read;
      if (!(yield* this.#isStill(files))) continue;
      this.#pages = pages;
      this.#unreadable = undefined;
      const isOther = was?.ino !== files.stamp.ino || was.dev !== files.stamp.dev;
      const found = yield* difference(before, pages);
      return { ...found, replaced: was !== undefined && isOther };
    }
    return this.#failed("it changes faster than it is read");
  }

  /** Discards what was read: the next update reads all pages. */
  #failed(text: string): string {
    this.#close();
    this.#unreadable = this.#signature();
    return text;
  }

  /** Stamps of all files: a write or a replacement changes it. */
  #signature(): string {
    const paths = [this.path, `${this.#file}-wal`, `${this.#file}-journal`];
    return paths.map(companionStamp).join(" ");
  }

  /** Opens the files unless they are open and the same; undefined when nothing was opened. */
  #reopen(): string | undefined {
    const old = this.#files;
    const stamp = stampAt(this.path);
    const isSameFile = old?.stamp.ino === stamp?.ino && old?.stamp.dev === stamp?.dev;
    if (old?.wal !== undefined && isSameFile && old.companions === this.#companions(true)) {
      if (old.wal.frames.isCurrent(old.wal.file)) return undefined;
    }
    this.#close();
    this.#file = behindLinks(this.path);
    this.#watch.follow(this.#file);
    const without = this.#companions(false);
    const main = InputFile.open(this.#file);
    if (typeof main === "string") return main;
    const wal = openWal(`${this.#file}-wal`);
    const journal = InputFile.open(`${this.#file}-journal`);
    const hasJournal = typeof journal !== "string";
    const log = hasJournal ? journal : undefined;
    const companions = wal === undefined ? without : this.#companions(true);
    this.#files = { main, stamp: main.opened, wal, journal: log, companions };
    return "opened";
  }

  /** True when nothing was committed since the files were opened or last read. */
  *#isStill(files: Files): Generator<undefined, boolean> {
    const stamp = stampAt(this.path);
    if (stamp === undefined) return false;
    if (this.#companions(files.wal !== undefined) !== files.companions) return false;
    if (files.wal !== undefined) {
      const { frames, file } = files.wal;
      const { committed } = frames;
      if (!frames.isCurrent(file)) return false;
      yield* readFrames(files.wal);
      if (frames.committed !== committed) return false;
    }
    const isSameFile = stamp.ino === files.stamp.ino && stamp.dev === files.stamp.dev;
    if (isSameFile && (files.wal?.frames.committed ?? 0) > 0) return true;
    return isSameStamp(stamp, files.stamp);
  }

  *#readPages(
    files: Files,
    known: ReadonlyMap<number, PageRows>,
    touched: ReadonlySet<number> | "all",
  ): Generator<undefined, Map<number, PageRows> | string> {
    const overlay = yield* overlayOf(files);
    const pages = new Map<number, PageRows>();
    this.hasTable = false;
    if (overlay === undefined && files.main.size() <= 1) return pages;
    const source = PageSource.open(files.main, overlay);
    if (typeof source === "string") return source;
    const table = TreeTable.find(source, this.#limits, this.#numbers);
    if (typeof table === "string") return table;
    if (table === undefined) return pages;
    this.hasTable = true;
    this.isWalAlone = files.main.size() <= 1;
    let [count, rows, bytes] = [0, 0, 0];
    for (const page of table.pages()) {
      const old = known.get(page);
      const isKept =
        touched !== "all" &&
        old !== undefined &&
        !touched.has(page) &&
        !old.overflow.some((each) => touched.has(each));
      const read = isKept ? old : yield* table.rows(page);
      pages.set(page, read);
      rows += read.rows.length;
      bytes += read.bytes;
      if (rows > this.#limits.rows) return `more than ${this.#limits.rows} rows`;
      if (bytes > this.#limits.totalBytes) {
        return `more than ${this.#limits.totalBytes} bytes of files`;
      }
      count++;
      if (!isKept || count % STEP_PAGES === 0) yield undefined;
    }
    return table.byInode ? sorted(pages) : pages;
  }
}

function openWal(path: string): OpenLog | undefined {
  const file = InputFile.open(path);
  if (typeof file === "string") return undefined;
  const frames = WalFrames.open(file);
  if (typeof frames !== "string") return { file, frames, next: "" };
  file[Symbol.dispose]();
  return undefined;
}

function* readFrames(log: OpenLog): Generator<undefined> {
  while (log.frames.advance()) yield undefined;
  log.next = log.frames.peek();
}

function* overlayOf({ main, wal, journal }: Files): Generator<undefined, Overlay | undefined> {
  if (wal !== undefined && wal.frames.committed > 0) return { file: wal.file, log: wal.frames };
  if (journal === undefined || main.size() <= 1) return undefined;
  const log = yield* readJournal(journal);
  return log === undefined ? undefined : { file: journal, log };
}

/** SQLite reads a table WITHOUT ROWID in key order: all its rows are kept as one page. */
function sorted(pages: ReadonlyMap<number, PageRows>): Map<number, PageRows> {
  const all = [...pages.values()];
  const rows = all.flatMap((page) => page.rows).toSorted((a, b) => a.inode - b.inode);
  // No page of the file has number 0, so that it is never reused at the next update.
  return new Map([[0, { page: 0, rows, overflow: [], bytes: 0 }]]);
}

function isEqual(a: Row, b: Row): boolean {
  const sameStamps = a.version === b.version && a.mtime === b.mtime && a.writer === b.writer;
  const samePlace = a.parent === b.parent && a.name === b.name && a.type === b.type;
  return sameStamps && samePlace && a.omitted === b.omitted && Buffer.compare(a.data, b.data) === 0;
}

/** Compares the rows of pages that are not the same objects. */
function* difference(
  before: ReadonlyMap<number, PageRows>,
  after: ReadonlyMap<number, PageRows>,
): Generator<undefined, { readonly changed: Row[]; readonly gone: Row[] }> {
  const old = new Map<number, Row>();
  for (const [number, page] of before) {
    if (after.get(number) === page) continue;
    for (const row of page.rows) old.set(row.inode, row);
    yield undefined;
  }
  const changed: Row[] = [];
  for (const [number, page] of after) {
    if (before.get(number) === page) continue;
    yield undefined;
    for (const row of page.rows) {
      const was = old.get(row.inode);
      old.delete(row.inode);
      if (was === undefined || !isEqual(was, row)) changed.push(row);
    }
  }
  return { changed, gone: [...old.values()] };
}
