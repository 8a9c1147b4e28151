/**
 * Rows of the tree table straight from the pages of a config.db that SQLite gives up on: every
 * page that looks like a leaf of the table is taken for one. May find rows that were deleted long
 * ago (their pages keep them), so of two rows of one inode the later version counts. Format:
 * sqlite.org/fileformat2.html, sections 1.6 and 2.1.
 */
import { rowOf } from "../store/config-db.ts";
import type { Row } from "../store/tree-rows.ts";

const LEAF = 0x0d;
/** The database header, in front of the first page's own. */
const FILE_HEADER_BYTES = 100;
const PAGE_SIZE_AT = 16;
const RESERVED_AT = 20;
const DEFAULT_PAGE_BYTES = 4096;
const COLUMNS = 8;
/** A chain longer than this many pages is a circle. */
const MAX_CHAIN = 1 << 20;

interface Varint {
  readonly value: number;
  readonly next: number;
}

/** 1 to 9 bytes, most significant first; beyond 2^53 the value is only near. */
function varint(bytes: Buffer, at: number): Varint {
  let value = 0;
  for (let index = 0; index < 8; index++) {
    const byte = bytes[at + index] ?? 0;
    value = value * 128 + (byte & 0x7f);
    if (byte < 0x80) return { value, next: at + index + 1 };
  }
  return { value: value * 256 + (bytes[at + 8] ?? 0), next: at + 9 };
}

const INTEGER_BYTES = [0, 1, 2, 3, 4, 6, 8];

/** One column by its serial type; undefined when there is no such type or not enough bytes. */
function column(record: Buffer, type: number, at: number): { value: unknown; next: number } {
  const size = type >= 12 ? (type - (12 + (type & 1))) / 2 : (INTEGER_BYTES[type] ?? 0);
  const next = at + size;
  if (next > record.length) throw new RangeError("a column beyond its record");
  if (type === 0) return { value: null, next };
  if (type === 8 || type === 9) return { value: type - 8, next };
  if (type >= 12) return { value: new Uint8Array(record.subarray(at, next)), next };
  if (size === 0 || type > 6) throw new RangeError("no type of this table");
  if (size === 8) return { value: Number(record.readBigInt64BE(at)), next };
  return { value: record.readIntBE(at, size), next };
}

class Carver {
  readonly #file: Buffer;
  readonly #pageBytes: number;
  readonly #usable: number;

  constructor(file: Buffer) {
    this.#file = file;
    const declared = file.length > FILE_HEADER_BYTES ? file.readUInt16BE(PAGE_SIZE_AT) : 0;
    const size = declared === 1 ? 65_536 : declared;
    const isPower = size >= 512 && (size & (size - 1)) === 0;
    this.#pageBytes = isPower ? size : DEFAULT_PAGE_BYTES;
    this.#usable = this.#pageBytes - (isPower ? (file[RESERVED_AT] ?? 0) : 0);
  }

  *rows(): Generator<Row> {
    for (let page = 0; page < this.#file.length; page += this.#pageBytes) {
      const header = page === 0 ? FILE_HEADER_BYTES : page;
      if (this.#file[header] === LEAF) yield* this.#leaf(page, header);
    }
  }

  *#leaf(page: number, header: number): Generator<Row> {
    if (header + 8 > this.#file.length) return;
    const cells = this.#file.readUInt16BE(header + 3);
    for (let index = 0; index < cells; index++) {
      const pointer = header + 8 + 2 * index;
      if (pointer + 2 > this.#file.length) return;
      const row = this.#cell(page + this.#file.readUInt16BE(pointer));
      if (row !== undefined) yield row;
    }
  }

  #cell(at: number): Row | undefined {
    try {
      const payload = varint(this.#file, at);
      const rowid = varint(this.#file, payload.next);
      return this.#record(rowid.value, this.#payload(rowid.next, payload.value));
    } catch (error) {
      // Whatever this is, it is no row of the tree.
      if (error instanceof RangeError) return undefined;
      throw error;
    }
  }

  /** The bytes of a record, with what lies on overflow pages. */
  #payload(at: number, size: number): Buffer {
    if (size > this.#file.length) throw new RangeError("a record larger than its file");
    const most = this.#usable - 35;
    const least = Math.floor(((this.#usable - 12) * 32) / 255) - 23;
    const fitting = least + ((size - least) % (this.#usable - 4));
    const local = size <= most ? size : fitting <= most ? fitting : least;
    const parts = [this.#file.subarray(at, at + local)];
    let left = size - local;
    let next = left > 0 ? this.#file.readUInt32BE(at + local) : 0;
    for (let page = 0; left > 0 && page < MAX_CHAIN; page++) {
      const from = (next - 1) * this.#pageBytes;
      if (next === 0 || from + 4 > this.#file.length) break;
      const part = this.#file.subarray(from + 4, from + 4 + Math.min(left, this.#usable - 4));
      parts.push(part);
      left -= part.length;
      next = this.#file.readUInt32BE(from);
    }
    if (left > 0) throw new RangeError("a record whose end is missing");
    return Buffer.concat(parts);
  }

  #record(rowid: number, record: Buffer): Row | undefined {
    const header = varint(record, 0);
    const types: number[] = [];
    for (let at = header.next; at < header.value && types.length <= COLUMNS;) {
      const type = varint(record, at);
      types.push(type.value);
      at = type.next;
    }
    if (types.length !== COLUMNS) return undefined;
    let at = header.value;
    const values = types.map((type) => {
      const { value, next } = column(record, type, at);
      at = next;
      return value;
    });
    // Column 0 is the rowid itself and stands in the record as NULL; 6 is a text.
    const isTree = types[0] === 0 && (types[6] ?? 0) >= 13 && (types[6] ?? 0) % 2 === 1;
    return isTree ? rowOf([rowid, ...values.slice(1)]) : undefined;
  }
}

/** Every row that can be found, by inode; of two versions the later. */
export function carveRows(file: Buffer): Map<number, Row> {
  const rows = new Map<number, Row>();
  for (const row of new Carver(file).rows()) {
    const other = rows.get(row.inode);
    if (other === undefined || other.version <= row.version) rows.set(row.inode, row);
  }
  return rows;
}
