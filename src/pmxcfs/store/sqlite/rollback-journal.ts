/**
 * A rollback journal (sqlite.org/fileformat2.html 3): the pages as they were before a transaction
 * that has not ended. After a crash SQLite would restore them; while a writer is running they are
 * the state before its transaction. In both cases they give the database without the transaction.
 */
import type { ByteSource } from "./input-file.ts";

const MAGIC = Buffer.from("d9d505f920a163d7", "hex");
const HEADER_BYTES = 28;
const TO_THE_END = 0xffff_ffff;
/** The checksum adds every 200th byte, from the end. */
const STRIDE = 200;
/** Pages read in one step. */
const STEP_PAGES = 16;
/** Limit of segments in one journal; each sync of the writer begins a new one. */
const MAX_SEGMENTS = 1 << 16;

export interface JournalPages {
  /** Offset of the old image, by page number. */
  readonly pages: ReadonlyMap<number, number>;
  /** Pages of the database before the transaction. */
  readonly databasePages: number;
  readonly pageBytes: number;
}

function checksumOf(page: Buffer, nonce: number): number {
  let sum = nonce;
  for (let at = page.length - STRIDE; at > 0; at -= STRIDE) sum = (sum + (page[at] ?? 0)) >>> 0;
  return sum;
}

/** Undefined when there is nothing to restore: no header, zeroed, or not synced. In steps. */
export function* readJournal(file: ByteSource): Generator<undefined, JournalPages | undefined> {
  const size = file.size();
  const pages = new Map<number, number>();
  const header = Buffer.alloc(HEADER_BYTES);
  let first: { databasePages: number; pageBytes: number; sector: number } | undefined;
  let at = 0;
  for (let segment = 0; segment < MAX_SEGMENTS && at + HEADER_BYTES <= size; segment++) {
    if (file.read(header, at) < HEADER_BYTES || header.compare(MAGIC, 0, 8, 0, 8) !== 0) break;
    if (first === undefined) {
      const [sector, pageBytes] = [header.readUInt32BE(20), header.readUInt32BE(24)];
      if (!isSize(sector, 32) || !isSize(pageBytes, 512)) return undefined;
      first = { databasePages: header.readUInt32BE(16), pageBytes, sector };
    }
    const records = header.readUInt32BE(8);
    const recordBytes = first.pageBytes + 8;
    const from = at + first.sector;
    const room = Math.floor((size - from) / recordBytes);
    const count = records === TO_THE_END ? room : Math.min(records, room);
    const whole = yield* take(file, from, Math.max(0, count), first.pageBytes, header, pages);
    if (!whole || count < records) break;
    at = Math.ceil((from + count * recordBytes) / first.sector) * first.sector;
  }
  return first === undefined || pages.size === 0 ? undefined : { ...first, pages };
}

function isSize(value: number, least: number): boolean {
  return value >= least && value <= 65_536 && (value & (value - 1)) === 0;
}

/** Adds the pages of one segment, up to the first damaged record; true when all are valid. */
function* take(
  file: ByteSource,
  from: number,
  count: number,
  pageBytes: number,
  header: Buffer,
  pages: Map<number, number>,
): Generator<undefined, boolean> {
  const nonce = header.readUInt32BE(12);
  const record = Buffer.alloc(pageBytes + 8);
  for (let index = 0; index < count; index++) {
    if (index % STEP_PAGES === 0) yield undefined;
    const at = from + index * record.length;
    if (file.read(record, at) < record.length) return false;
    const page = record.readUInt32BE(0);
    const body = record.subarray(4, 4 + pageBytes);
    if (page === 0 || checksumOf(body, nonce) !== record.readUInt32BE(4 + pageBytes)) return false;
    if (!pages.has(page)) pages.set(page, at + 4);
  }
  return true;
}
