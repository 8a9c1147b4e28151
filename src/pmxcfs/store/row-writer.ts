/**
 * Stores the writable tree's changes, as rows of the table `tree`, before memory changes. Two
 * implementations: the database with a journal beside it (batching-writer.ts), and plain memory
 * (memory-rows.ts).
 */
import type { Errno } from "../../base/errno.ts";
import type { Steps } from "../../base/steps.ts";
import type { Entry, Stamp } from "../state/memdb.ts";
import type { JournalRecord } from "./journal-format.ts";
import type { KeptCopy } from "./upkeep.ts";
import { RowType, VERSION_NAME, type Row } from "./tree-rows.ts";

/** A row as it is written: `data` null is SQL NULL, an empty array a blob of no bytes. */
export interface RowImage extends Omit<Row, "data"> {
  readonly data: Uint8Array | null;
}

/** An entry's row with a new stamp. C writes a directory it changes with a blob of no bytes. */
export function imageOf(entry: Entry, { version, writer, mtime }: Stamp): RowImage {
  const { inode, parent, kind, name, bytes } = entry;
  const isFile = kind === "file";
  return {
    inode,
    parent: parent?.inode ?? 0,
    version,
    writer,
    mtime,
    type: isFile ? RowType.FILE : RowType.DIRECTORY,
    name,
    data: isFile && bytes.length === 0 ? null : bytes,
  };
}

const NO_BYTES = new Uint8Array(0);

/** All rows of a tree as it is in memory, row 0 first. */
export function* rowsOf(root: Stamp, entries: Iterable<Entry>): Generator<Row> {
  const { version, writer, mtime } = root;
  const type = RowType.FILE;
  yield { inode: 0, parent: 0, version, writer, mtime, type, name: VERSION_NAME, data: NO_BYTES };
  for (const entry of entries) yield { ...imageOf(entry, entry), data: entry.bytes };
}

/** Row 0, without its fixed columns. */
export interface RootRow {
  readonly version: number;
  readonly writer: number;
  readonly mtime: number;
  /** 8, except after a sync, which writes what the leader sent: 4. */
  readonly type: number;
  /** VERSION_NAME unless given (version-row.ts). */
  readonly name?: string;
}

/** Row 0 as it is written. */
export function imageOfRoot({ name = VERSION_NAME, ...stamp }: RootRow): RowImage {
  return { inode: 0, parent: 0, ...stamp, name, data: null };
}

/** One change of the tree: one transaction. */
export interface RowChange {
  /** Inodes whose rows are deleted, before anything is written. */
  readonly deleted: readonly number[];
  /** Rows that are written whole (REPLACE). */
  readonly replaced: readonly RowImage[];
  readonly root: RootRow;
}

/** Figures of a writer, since it was opened or as of now. */
export interface StoreFigures {
  /** Changes that are answered and not in the database yet, and bytes of their journal. */
  readonly waiting: number;
  readonly journalBytes: number;
  readonly walBytes: number;
  /** Checkpoints that moved everything into config.db, and those that failed. */
  readonly checkpoints: number;
  readonly checkpointFailures: number;
  /** End of the last one, ms since 1970; 0: none yet. */
  readonly checkpointedAt: number;
  /** Changes that could not be written (EIO). */
  readonly commitFailures: number;
}

export interface RowWriter extends Disposable {
  /**
   * `record`: the command that made the change, for writers that keep a journal.
   * 0 when the whole change will survive the end of this process. Otherwise nothing was written:
   * EBUSY, another process is writing, or a long WAL is emptied; EIO, it could not be written.
   */
  commit(change: RowChange, record?: JournalRecord): 0 | Errno;

  /**
   * From now on `commit` accepts changes with a record at once: they survive the end of this
   * process only after `store`, or after any other call that writes.
   */
  gather(): void;

  /**
   * Stores the gathered changes in one transaction, and ends that. After an error they are kept,
   * and tried again before anything else is written: memory has them.
   */
  store(): 0 | Errno;

  /**
   * The same without a record, in steps. Between them the writer may not be used otherwise.
   * `committed` is called in the turn in which the change is known to be committed; also when the
   * steps are ended too late to stop it.
   */
  commitInSteps(change: RowChange, committed: () => void): Steps<0 | Errno>;

  /** Work that a long change has left, in steps; a call that needs it earlier does it at once. */
  settle(): Steps;

  /** Writes everything that `commit` accepted into the database, as fsync(2) requires. */
  flush(): 0 | Errno;

  /** From now on, changes go into a journal while the database is locked, instead of EBUSY. */
  journalWhenLocked(): void;

  /** Keeps a copy of the database, with all changes, under a name with `reason` in it; in steps. */
  keepCopy(reason: string): Steps<KeptCopy>;

  /**
   * True while `commit` returns EBUSY because a checkpoint must end first (checkpointer.ts), not
   * because another process is writing.
   */
  readonly isEmptying: boolean;

  /** Undefined without a database. */
  readonly figures: StoreFigures | undefined;
}
