/**
 * Which requests of the mount the latest changes were for. After a crash the kernel resends the
 * requests that were not answered (FUSE_NOTIFY_RESEND). A change that was stored before the crash
 * is answered from here and not applied again: a create would find its own file (EEXIST).
 * Also, which inodes are not the kernel's ids of their entries since a sync (Entry.tookInode), as
 * the kernel may know other entries by them.
 *
 * Before the change goes to the database, a record is written to a file on a tmpfs: the request's
 * number and the version that the change gives the tree. At the next start a record is valid when
 * the database has reached its version. A SIGKILL loses neither; a power cut ends the mount too.
 *
 * The file: 16 bytes a slot, two little-endian doubles. Slot 0: format, number of the connection;
 * then a ring of records, request and version, zeros where there is none; then the inodes, each
 * as sync * 2^40 + inode, and the version that the sync gives the tree. A slot lies within one
 * page, so that a kill cannot leave it half written.
 */
import { closeSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { errorText } from "../../base/error-text.ts";
import { ReplicationLimits } from "../../base/limits.ts";
import type { Log } from "../../base/log.ts";
import type { Steps } from "../../base/steps.ts";
import { type Entry, TOOK_INODE } from "../state/entry.ts";

const FORMAT = 0x706d_7801;
const SLOT_BYTES = 16;
/** More than the changes that can be stored and not answered at one time. */
const RECORDS = 2 * ReplicationLimits.waitingChanges;
const FILE_BYTES = (1 + RECORDS) * SLOT_BYTES;
/** Most inodes in the file: 16 MiB. */
const MOST_INODES = 2 ** 20;
/** Inodes noted in one step. */
const INODES_A_STEP = 32;

export interface ChangeLedgerOptions {
  /** In a directory that only root can write. */
  readonly file: string;
  /** Version of the tree as it was loaded, before anything changed it. */
  readonly loadedVersion: number;
  readonly log: Log;
}

export class ChangeLedger {
  /** Called when `lacksInodes` becomes true; the sync is stored after that. */
  onLack: () => void = () => {};
  readonly #options: ChangeLedgerOptions;
  readonly #slot = Buffer.alloc(SLOT_BYTES);
  /** Changes that were stored by servers before this one, by request. */
  readonly #before = new Map<number, number>();
  /** Of servers before this one. */
  readonly #taken = new Map<number, number>();
  /** The number of the last sync that took inodes. */
  #syncs = 0;
  #inodes = 0;
  #lacksInodes = false;
  #fd: number | undefined;
  #next = 0;

  constructor(options: ChangeLedgerOptions) {
    this.#options = options;
  }

  /** True while changes are recorded. */
  get isOpen(): boolean {
    return this.#fd !== undefined;
  }

  /** The inodes that were taken before this server, with the numbers of the syncs. Changes. */
  get taken(): ReadonlyMap<number, number> {
    return this.#taken;
  }

  /** True when the file lacks inodes of a sync: no other server may serve this connection. */
  get lacksInodes(): boolean {
    return this.#lacksInodes;
  }

  /** A new connection, without requests yet. */
  begin(connection: number): void {
    this.end();
    const { file } = this.#options;
    this.#guard(() => {
      // Removed first, since a file that another process made would keep its mode.
      rmSync(file, { force: true });
      this.#fd = openSync(file, "wx+", 0o600);
      writeSync(this.#fd, Buffer.alloc(FILE_BYTES), 0, FILE_BYTES, 0);
      this.#write(0, FORMAT, connection);
      // The numbers of syncs before this connection are not used again.
      if (this.#syncs > 0) this.#writeInode(0, this.#syncs, Infinity);
    });
  }

  /** Continues the previous server's file; makes a new one when that is of another connection. */
  resume(connection: number): void {
    const { file, loadedVersion, log } = this.#options;
    let bytes: Buffer;
    try {
      bytes = readFileSync(file);
    } catch {
      bytes = Buffer.alloc(0);
    }
    if (bytes.length < FILE_BYTES || bytes.readDoubleLE(0) !== FORMAT) {
      this.begin(connection);
      return;
    }
    if (bytes.readDoubleLE(8) !== connection) {
      log.debug(`${file} belongs to another mount`);
      this.begin(connection);
      return;
    }
    this.#guard(() => {
      this.#fd = openSync(file, "r+");
      this.#take(bytes, loadedVersion);
    });
  }

  #take(bytes: Buffer, loadedVersion: number): void {
    let latest = 0;
    for (let record = 0; record < RECORDS; record++) {
      const at = (1 + record) * SLOT_BYTES;
      const request = bytes.readDoubleLE(at);
      const version = bytes.readDoubleLE(at + 8);
      if (request === 0) continue;
      if (version > loadedVersion) {
        // The change was not stored: another one will get this version.
        this.#write(1 + record, 0, 0);
        continue;
      }
      this.#before.set(request, (this.#before.get(request) ?? 0) + 1);
      if (version < latest) continue;
      latest = version;
      this.#next = (record + 1) % RECORDS;
    }
    for (let at = FILE_BYTES; at + SLOT_BYTES <= bytes.length; at += SLOT_BYTES) {
      const both = bytes.readDoubleLE(at);
      const sync = Math.floor(both / TOOK_INODE.inodes);
      this.#syncs = Math.max(this.#syncs, sync);
      if (bytes.readDoubleLE(at + 8) <= loadedVersion) {
        this.#taken.set(both % TOOK_INODE.inodes, sync);
      } else {
        // The sync was not stored. Its number stays in use.
        this.#write(at / SLOT_BYTES, both, Infinity);
      }
      this.#inodes++;
    }
  }

  /** True when an earlier server stored a change of `request`; once for each such change. */
  wasStored(request: number): boolean {
    const count = this.#before.get(request);
    if (count === undefined) return false;
    if (count > 1) this.#before.set(request, count - 1);
    else this.#before.delete(request);
    return true;
  }

  /** Call before the change of `request` that makes the tree's version `version` is stored. */
  note(request: number, version: number): void {
    if (this.#fd === undefined || request === 0) return;
    this.#guard(() => this.#write(1 + this.#next, request, version));
    this.#next = (this.#next + 1) % RECORDS;
  }

  /** Removes the last note: its change was not stored. */
  withdraw(request: number): void {
    if (this.#fd === undefined || request === 0) return;
    this.#next = (this.#next + RECORDS - 1) % RECORDS;
    this.#guard(() => this.#write(1 + this.#next, 0, 0));
  }

  /**
   * Call before a sync is stored that makes the tree's version `version` and takes the inodes of
   * `entries` for them. In steps; returns the number of the sync.
   */
  *took(entries: readonly Pick<Entry, "inode">[], version: number): Steps<number> {
    if (entries.length === 0) return 0;
    const sync = ++this.#syncs;
    for (const [index, { inode }] of entries.entries()) {
      this.#took(inode, sync, version);
      if (index % INODES_A_STEP === 0) yield undefined;
    }
    return sync > TOOK_INODE.most ? 0 : sync;
  }

  #took(inode: number, sync: number, version: number): void {
    // Such an inode is never an id.
    if (inode <= 0) return;
    const fits = inode < TOOK_INODE.inodes && sync <= TOOK_INODE.most;
    if (this.#fd !== undefined && fits && this.#inodes < MOST_INODES) {
      this.#guard(() => this.#writeInode(inode, sync, version));
      if (this.#fd !== undefined) return;
    }
    if (this.#lacksInodes) return;
    this.#lacksInodes = true;
    this.onLack();
  }

  #writeInode(inode: number, sync: number, version: number): void {
    this.#write(1 + RECORDS + this.#inodes, sync * TOOK_INODE.inodes + inode, version);
    this.#inodes++;
  }

  /**
   * The connection has ended, or is about to. The next one numbers its requests from the start
   * again: a record that is kept would answer one of them without making its change.
   */
  end(): void {
    this.#before.clear();
    this.#taken.clear();
    this.#inodes = 0;
    this.#lacksInodes = false;
    if (this.#fd === undefined) return;
    closeSync(this.#fd);
    this.#fd = undefined;
    this.#next = 0;
    rmSync(this.#options.file, { force: true });
  }

  #write(slot: number, first: number, second: number): void {
    this.#slot.writeDoubleLE(first, 0);
    this.#slot.writeDoubleLE(second, 8);
    writeSync(this.#fd ?? -1, this.#slot, 0, SLOT_BYTES, slot * SLOT_BYTES);
  }

  /** A failure to write the ledger does not fail the change. */
  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      const { file, log } = this.#options;
      log.warn(
        `${file}: ${errorText(error)}: after a crash of this server, a change that was stored ` +
          'and not answered may be answered with "File exists" or "No such file or directory"',
      );
      if (this.#fd !== undefined) closeSync(this.#fd);
      this.#fd = undefined;
    }
  }
}
