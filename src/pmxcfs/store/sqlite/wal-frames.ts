/**
 * Reads the frames of a `-wal` file (sqlite.org/fileformat2.html 4) without locks and without
 * SQLite, which removes the -wal of an empty database and writes a -shm. A frame is valid when it
 * has the header's salts and the running checksum is right; its page is visible when it or a later
 * valid frame is a commit. Reading can continue with frames that were appended since.
 */
import type { ByteSource } from "./input-file.ts";

export const WAL_HEADER_BYTES = 32;
export const FRAME_HEADER_BYTES = 24;
/** The low bit is the byte order of the checksums. */
const MAGIC = 0x377f_0682;
const VERSION = 3_007_000;
const MIN_PAGE = 512;
const MAX_PAGE = 65_536;
const BATCH_BYTES = 64 * 1024;

export class WalFrames {
  readonly #file: ByteSource;
  readonly #bigEndian: boolean;
  readonly pageBytes: number;
  /** The header: another one means that the log was restarted. */
  readonly generation: string;
  /** Offset of the newest committed image, by page number. */
  readonly pages = new Map<number, number>();
  /** Pages committed since the last `takeTouched`. */
  #touched = new Set<number>();
  #pending: (readonly [page: number, at: number])[] = [];
  #at = WAL_HEADER_BYTES;
  #sums: readonly [number, number];
  readonly #salts: Buffer;
  valid = 0;
  committed = 0;
  /** Pages of the database after the last commit; 0 before the first. */
  databasePages = 0;

  private constructor(file: ByteSource, header: Buffer, pageBytes: number) {
    this.#file = file;
    this.pageBytes = pageBytes;
    this.#bigEndian = (header.readUInt32BE(0) & 1) === 1;
    this.generation = header.toString("hex");
    this.#salts = Buffer.from(header.subarray(16, 24));
    this.#sums = [header.readUInt32BE(24), header.readUInt32BE(28)];
  }

  /** The frames; or a text why the header is invalid: then no frame of the file counts. */
  static open(file: ByteSource): WalFrames | string {
    const header = Buffer.alloc(WAL_HEADER_BYTES);
    if (file.read(header, 0) < WAL_HEADER_BYTES) return "it is shorter than its header";
    const magic = header.readUInt32BE(0);
    if ((magic & ~1) >>> 0 !== MAGIC) return "it has no WAL header";
    if (header.readUInt32BE(4) !== VERSION) return "its version is unknown";
    const pageBytes = header.readUInt32BE(8);
    const isPower = (pageBytes & (pageBytes - 1)) === 0;
    if (pageBytes < MIN_PAGE || pageBytes > MAX_PAGE || !isPower) return "its page size is invalid";
    const sums = checksum(header.subarray(0, 24), (magic & 1) === 1, [0, 0]);
    if (sums[0] !== header.readUInt32BE(24) || sums[1] !== header.readUInt32BE(28)) {
      return "the checksum of its header is wrong";
    }
    return new WalFrames(file, header, pageBytes);
  }

  /** The bytes of one frame. */
  get frameBytes(): number {
    return FRAME_HEADER_BYTES + this.pageBytes;
  }

  /** Reads the next 64 KiB of frames; false when there is no further valid one. */
  advance(): boolean {
    const count = Math.max(1, Math.floor(BATCH_BYTES / this.frameBytes));
    const batch = Buffer.alloc(count * this.frameBytes);
    const got = this.#file.read(batch, this.#at);
    for (let from = 0; from + this.frameBytes <= got; from += this.frameBytes) {
      if (!this.#take(batch.subarray(from, from + this.frameBytes))) return false;
    }
    return got === batch.length;
  }

  /** False when the file has another header: the log was restarted. */
  isCurrent(file: ByteSource = this.#file): boolean {
    const header = Buffer.alloc(WAL_HEADER_BYTES);
    return file.read(header, 0) === WAL_HEADER_BYTES && header.toString("hex") === this.generation;
  }

  /** The header of the frame that would follow the last valid one; "" when there is none. */
  peek(): string {
    const header = Buffer.alloc(FRAME_HEADER_BYTES);
    const got = this.#file.read(header, this.#at);
    const isOurs = got === FRAME_HEADER_BYTES && this.#salts.compare(header, 8, 16) === 0;
    return isOurs ? header.toString("latin1") : "";
  }

  /** Pages that were committed since this was called last. */
  takeTouched(): Set<number> {
    const touched = this.#touched;
    this.#touched = new Set();
    return touched;
  }

  #take(frame: Buffer): boolean {
    const page = frame.readUInt32BE(0);
    if (page === 0 || this.#salts.compare(frame, 8, 16) !== 0) return false;
    const half = checksum(frame.subarray(0, 8), this.#bigEndian, this.#sums);
    const sums = checksum(frame.subarray(FRAME_HEADER_BYTES), this.#bigEndian, half);
    if (sums[0] !== frame.readUInt32BE(16) || sums[1] !== frame.readUInt32BE(20)) return false;
    this.#sums = sums;
    this.#pending.push([page, this.#at + FRAME_HEADER_BYTES]);
    this.#at += this.frameBytes;
    this.valid++;
    const size = frame.readUInt32BE(4);
    if (size !== 0) this.#commit(size);
    return true;
  }

  #commit(size: number): void {
    for (const [page, at] of this.#pending) {
      this.pages.set(page, at);
      this.#touched.add(page);
    }
    this.#pending = [];
    this.committed = this.valid;
    this.databasePages = size;
  }
}

/** SQLite's running checksum over words of four bytes, eight bytes at a time. */
function checksum(
  bytes: Buffer,
  bigEndian: boolean,
  [first, second]: readonly [number, number],
): readonly [number, number] {
  let [a, b] = [first | 0, second | 0];
  if (!bigEndian && bytes.byteOffset % 4 === 0) {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
    for (let at = 0; at < words.length; at += 2) {
      a = (a + (words[at] ?? 0) + b) | 0;
      b = (b + (words[at + 1] ?? 0) + a) | 0;
    }
    return [a >>> 0, b >>> 0];
  }
  for (let at = 0; at + 8 <= bytes.length; at += 8) {
    a = (a + (bigEndian ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at)) + b) | 0;
    b = (b + (bigEndian ? bytes.readUInt32BE(at + 4) : bytes.readUInt32LE(at + 4)) + a) | 0;
  }
  return [a >>> 0, b >>> 0];
}
