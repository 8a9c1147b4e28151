/**
 * The journal's file beside config.db, `config.db.changes`: changes that were answered and are not
 * in the database yet. One write(2) for each. Truncated when the database has them, so that its
 * pages seldom reach the disk.
 */
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  lstatSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { compactTime } from "../../base/compact-time.ts";
import { errorCode, errorText } from "../../base/error-text.ts";
import { openRegularFile, readRegularFile } from "../../platform/regular-file.ts";
import {
  decodeJournal,
  encodeBase,
  encodeRecord,
  hasHead,
  type DecodedJournal,
  type JournalBase,
  type JournalRecord,
} from "./journal-format.ts";
import { freeName } from "./free-name.ts";
import { behindLinks } from "./sqlite/input-file.ts";
import { syncToDisk } from "./upkeep.ts";

const FLAGS = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;

/** Far above the limit of a journal (BatchLimits): a larger file is not ours. */
const MAX_BYTES = 1024 * 1024 * 1024;

/**
 * Beside the file that symlinks lead to, as SQLite has its -wal: the same journal is found through
 * the symlink and without it.
 */
function journalPath(file: string): string {
  return `${behindLinks(file)}.changes`;
}

/** A base that no database has. */
const NO_BASE: JournalBase = { version: 0, fingerprint: new Uint8Array(0) };
/** Reads of a journal that looks damaged: a server may have begun it anew during one. */
const READS = 3;

/** The journal beside `file`; undefined when there is none, a text when it cannot be read. */
export function readJournal(file: string): DecodedJournal | string | undefined {
  let journal: DecodedJournal | undefined;
  for (let reads = 0; reads < READS && journal?.isDamaged !== false; reads++) {
    try {
      const bytes = readRegularFile(journalPath(file), MAX_BYTES);
      // An empty file or an incomplete head: no change in it was answered.
      const none = { base: NO_BASE, records: [], isDamaged: hasHead(bytes) };
      journal = decodeJournal(bytes) ?? none;
    } catch (error) {
      return errorCode(error) === "ENOENT" ? undefined : errorText(error);
    }
  }
  return journal;
}

/** Removes the journal beside `file`, if there is one. */
export function removeJournal(file: string): void {
  rmSync(journalPath(file), { force: true });
}

/**
 * Renames a journal that does not belong to its database; returns the new path. `owner`: a database
 * without a journal that it may belong to, beside which it is found then.
 */
export function setJournalAside(file: string, owner?: string): string {
  if (owner === undefined) return setAside(journalPath(file));
  renameSync(journalPath(file), journalPath(owner));
  return journalPath(owner);
}

function setAside(path: string): string {
  const aside = freeName(`${path}.set-aside-${compactTime()}`);
  renameSync(path, aside);
  return aside;
}

/** Owns its descriptor; the file is made by `make` or `append`, and removed at the end if empty. */
export class Journal implements Disposable {
  /** The database's path. */
  readonly file: string;
  /** Found once: what is at the database's path may be replaced. */
  readonly #path: string;
  readonly #durable: boolean;
  #fd: number | undefined;
  #bytes = 0;

  /** `file`: the database, which exists. `durable`: records are on the disk after `append`. */
  constructor(file: string, durable: boolean) {
    this.file = file;
    this.#path = journalPath(file);
    this.#durable = durable;
  }

  /** Size in bytes; 0 when no change waits. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * To be called when no change waits: makes the file if needed, also when it was removed, which
   * invites that, since it is empty. Row 0 may be marked only after that: a mark without a journal
   * means that answered changes are lost. Throws the kernel's error.
   */
  make(): void {
    if (!this.isInPlace()) this.#close();
    this.#fd ??= this.#open();
  }

  /** Adds a record; `base` is called for the first one. When it throws, nothing was added. */
  append(record: JournalRecord, base: () => JournalBase): void {
    const encoded = encodeRecord(record);
    const bytes = this.#bytes > 0 ? encoded : Buffer.concat([encodeBase(base()), encoded]);
    const fd = (this.#fd ??= this.#open());
    try {
      let written = 0;
      while (written < bytes.length) {
        const place = this.#bytes + written;
        written += writeSync(fd, bytes, written, bytes.length - written, place);
      }
      if (this.#durable) fdatasyncSync(fd);
    } catch (error) {
      ftruncateSync(fd, this.#bytes);
      throw error;
    }
    this.#bytes += bytes.length;
  }

  /**
   * Empties the journal, since the database has all its changes. If that fails, the next record is
   * the first of a journal that is opened again: added to this one, it would continue a state that
   * the database no longer has.
   */
  reset(): void {
    if (this.#fd === undefined || this.#bytes === 0) return;
    this.#bytes = 0;
    try {
      ftruncateSync(this.#fd, 0);
    } catch {
      this.#remove();
      this.#close();
    }
  }

  [Symbol.dispose](): void {
    if (this.#fd === undefined) return;
    if (this.#bytes === 0) this.#remove();
    this.#close();
  }

  /**
   * Removes the file, unless another one is at its path: that came with a database that was put in
   * the place of ours, and has the last changes of that one.
   */
  #remove(): void {
    try {
      if (this.isInPlace()) rmSync(this.#path);
    } catch {
      // It stays, and the next start sees that the database has its changes.
    }
  }

  /** Whether the open file is the one at its path; false when that cannot be found out. */
  isInPlace(): boolean {
    try {
      const own = fstatSync(this.#fd ?? -1);
      const there = lstatSync(this.#path, { throwIfNoEntry: false });
      return there?.dev === own.dev && there.ino === own.ino;
    } catch {
      return false;
    }
  }

  #close(): void {
    const fd = this.#fd;
    this.#fd = undefined;
    try {
      if (fd !== undefined) closeSync(fd);
    } catch {
      // close(2) releases the descriptor whatever it returns.
    }
  }

  /** When it throws, nothing stays open: the next change tries again, and needs the descriptor. */
  #open(): number {
    const path = this.#path;
    const there = lstatSync(path, { throwIfNoEntry: false });
    // Of another database, as in `#remove`: it was put there a moment ago.
    if (there?.isFile() === true && there.size > 0) setAside(path);
    const fd = openRegularFile(path, FLAGS, 0o600);
    try {
      if (this.#durable) syncToDisk(dirname(path));
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    return fd;
  }
}
