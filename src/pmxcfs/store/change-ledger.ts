/**
 * Which requests of the mount the latest changes were for. After a crash the kernel sends again
 * what was not answered (FUSE_NOTIFY_RESEND); a change that was stored by then is answered from
 * here instead of being made twice: a create would find its own file and say EEXIST.
 *
 * A record goes to a file on a tmpfs before the change goes to the database: the request's number
 * and the version that the tree gets by it. At the next start it counts when the database has come
 * that far. A SIGKILL loses neither; a power cut ends the mount, and with it the need.
 *
 * The file: 16 bytes a slot, two little-endian doubles. Slot 0: format, number of the connection;
 * then a ring of records, request and version, zeros where there is none. A slot lies within one
 * page, so that a kill does not tear it.
 */
import { closeSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { errorText } from "../../base/error-text.ts";
import { ReplicationLimits } from "../../base/limits.ts";
import type { Log } from "../../base/log.ts";

const FORMAT = 0x706d_7801;
const SLOT_BYTES = 16;
/** More than can be stored and not answered at a time: every change that waits for the database. */
const RECORDS = 2 * ReplicationLimits.waitingChanges;
const FILE_BYTES = (1 + RECORDS) * SLOT_BYTES;

export interface ChangeLedgerOptions {
  /** In a directory of root's. */
  readonly file: string;
  /** Version of the tree as it was loaded, before anything changed it. */
  readonly loadedVersion: number;
  readonly log: Log;
}

export class ChangeLedger {
  readonly #options: ChangeLedgerOptions;
  readonly #slot = Buffer.alloc(SLOT_BYTES);
  /** Changes that were stored by servers before this one, by request. */
  readonly #before = new Map<number, number>();
  #fd: number | undefined;
  #next = 0;

  constructor(options: ChangeLedgerOptions) {
    this.#options = options;
  }

  /** True while changes are noted. */
  get isOpen(): boolean {
    return this.#fd !== undefined;
  }

  /** A connection begins: nothing was asked yet. */
  begin(connection: number): void {
    this.end();
    const { file } = this.#options;
    this.#guard(() => {
      // One that somebody else made keeps its mode.
      rmSync(file, { force: true });
      this.#fd = openSync(file, "wx+", 0o600);
      writeSync(this.#fd, Buffer.alloc(FILE_BYTES), 0, FILE_BYTES, 0);
      this.#write(0, FORMAT, connection);
    });
  }

  /** Goes on where the server before ended; from nothing when its file is of another connection. */
  resume(connection: number): void {
    const { file, loadedVersion, log } = this.#options;
    let bytes: Buffer;
    try {
      bytes = readFileSync(file);
    } catch {
      bytes = Buffer.alloc(0);
    }
    if (bytes.length !== FILE_BYTES || bytes.readDoubleLE(0) !== FORMAT) {
      this.begin(connection);
      return;
    }
    if (bytes.readDoubleLE(8) !== connection) {
      log.debug(`${file} is of another mount`);
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
        // Not stored. Another change gets this version.
        this.#write(1 + record, 0, 0);
        continue;
      }
      this.#before.set(request, (this.#before.get(request) ?? 0) + 1);
      if (version < latest) continue;
      latest = version;
      this.#next = (record + 1) % RECORDS;
    }
  }

  /** True, once for each change of it, when `request` was stored by a server before this one. */
  wasStored(request: number): boolean {
    const count = this.#before.get(request);
    if (count === undefined) return false;
    if (count > 1) this.#before.set(request, count - 1);
    else this.#before.delete(request);
    return true;
  }

  /** The change of `request` that makes the tree `version` is stored next. */
  note(request: number, version: number): void {
    if (this.#fd === undefined || request === 0) return;
    this.#guard(() => this.#write(1 + this.#next, request, version));
    this.#next = (this.#next + 1) % RECORDS;
  }

  /** The change that was noted last was not stored. */
  withdraw(request: number): void {
    if (this.#fd === undefined || request === 0) return;
    this.#next = (this.#next + RECORDS - 1) % RECORDS;
    this.#guard(() => this.#write(1 + this.#next, 0, 0));
  }

  /** The connection is gone, or will be. */
  end(): void {
    if (this.#fd === undefined) return;
    closeSync(this.#fd);
    this.#fd = undefined;
    this.#next = 0;
    this.#before.clear();
    rmSync(this.#options.file, { force: true });
  }

  #write(slot: number, first: number, second: number): void {
    this.#slot.writeDoubleLE(first, 0);
    this.#slot.writeDoubleLE(second, 8);
    writeSync(this.#fd ?? -1, this.#slot, 0, SLOT_BYTES, slot * SLOT_BYTES);
  }

  /** What cannot be noted fails no change. */
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
