/**
 * The table `tree`, page by page: which pages it has, and the rows of each. A changed page can be
 * read again by itself. Long values are read in steps, so that a caller can yield in between.
 * Throws Malformed, in SQLite's words, where SQLite would report damage.
 */
import { drained } from "../../../base/steps.ts";
import type { Row } from "../tree-rows.ts";
import { Malformed } from "./malformed.ts";
import { HEADER_BYTES, type PageSource } from "./page-source.ts";
import { serialBytes, size, storedValue, toText, varint, type StoredValue } from "./record.ts";
import { type ColumnValue, rowFrom, type RowNumbers } from "./row.ts";
import { COLUMNS, parseTable, type Column, type TableShape } from "./schema.ts";

const INTERIOR_INDEX = 0x02;
const INTERIOR_TABLE = 0x05;
const LEAF_INDEX = 0x0a;
const LEAF_TABLE = 0x0d;

const SCHEMA_SHAPE_COLUMNS = 5;
/** Limit of levels of a b-tree; more mean a cycle. */
const MAX_LEVELS = 40;
/** Overflow pages read in one step. */
const CHAIN_STEP = 8;
/** Rows read in one step. */
const STEP_ROWS = 12;
/** Bytes of a record that are read first, to find its columns. */
const HEAD_BYTES = 8192;

/** The rows of one page. */
export interface PageRows {
  readonly page: number;
  readonly rows: readonly Row[];
  /** Overflow pages, with the ends of long values. */
  readonly overflow: readonly number[];
  /** Bytes of content. */
  readonly bytes: number;
}

interface Cell {
  readonly rowid: number | bigint;
  readonly payload: number;
  /** Offset of the payload in the page. */
  readonly at: number;
}

interface Page {
  readonly bytes: Buffer;
  readonly kind: number;
  /** Offset of the b-tree header. */
  readonly header: number;
  readonly cells: readonly number[];
}

/** A b-tree page; throws Malformed when it is none. */
function parsePage(source: PageSource, number: number): Page {
  return parseBytes(source, source.page(number), number === 1 ? HEADER_BYTES : 0);
}

function parseBytes(source: PageSource, bytes: Buffer, header: number): Page {
  const kind = bytes[header] ?? 0;
  const isInterior = kind === INTERIOR_INDEX || kind === INTERIOR_TABLE;
  if (!isInterior && kind !== LEAF_INDEX && kind !== LEAF_TABLE) throw new Malformed();
  const count = bytes.readUInt16BE(header + 3);
  const array = header + (isInterior ? 12 : 8);
  if (array + 2 * count > source.usable) throw new Malformed();
  const cells: number[] = [];
  for (let index = 0; index < count; index++) {
    const at = bytes.readUInt16BE(array + 2 * index);
    if (at < array + 2 * count || at + 4 > source.usable) throw new Malformed();
    cells.push(at);
  }
  return { bytes, kind, header, cells };
}

/** Limits of a reader. */
export interface TableLimits {
  /** Content of a row beyond this is not read; the row has its size. */
  readonly dataBytes: number;
}

/** The table as pmxcfs declares it, for pages without a readable schema. */
const DECLARED: TableShape = {
  position: new Map(COLUMNS.map((column, index) => [column, index])),
  rowid: "inode",
  withoutRowid: false,
};

export class TreeTable {
  readonly #source: PageSource;
  readonly #root: number;
  readonly #shape: TableShape;
  readonly #limits: TableLimits;
  readonly #numbers: RowNumbers;
  /** The statement that declared it. */
  readonly sql: string;

  private constructor(
    source: PageSource,
    found: { readonly root: number; readonly sql: string; readonly shape: TableShape },
    limits: TableLimits,
    numbers: RowNumbers,
  ) {
    this.#source = source;
    this.#root = found.root;
    this.#shape = found.shape;
    this.sql = found.sql;
    this.#limits = limits;
    this.#numbers = numbers;
  }

  /** The table; undefined when there is none, a text when the C server cannot use it. */
  static find(
    source: PageSource,
    limits: TableLimits,
    numbers: RowNumbers,
  ): TreeTable | string | undefined {
    for (const number of pagesOf(source, 1)) {
      for (const columns of schemaRows(source, number)) {
        const [type, name, , root, sql] = columns.map((value) => toText(value, source.encoding));
        if (name?.toLowerCase() !== "tree" || root === undefined || sql === undefined) continue;
        if (type === "view") return "cannot modify tree because it is a view";
        if (type !== "table") continue;
        const shape = parseTable(sql);
        if (typeof shape === "string") return shape;
        return new TreeTable(source, { root: Number(root), sql, shape }, limits, numbers);
      }
    }
    return undefined;
  }

  /** The table as pmxcfs declares it, for rows of pages that no b-tree leads to. */
  static assumed(source: PageSource, limits: TableLimits, numbers: RowNumbers): TreeTable {
    return new TreeTable(source, { root: 0, sql: "", shape: DECLARED }, limits, numbers);
  }

  /**
   * Rows of a page image that looks like a leaf of this table, whichever page it was; empty when it
   * does not. Cells that are not rows are skipped.
   */
  carve(bytes: Buffer, isFirst: boolean): Row[] {
    const header = isFirst ? HEADER_BYTES : 0;
    if (bytes[header] !== LEAF_TABLE) return [];
    const rows: Row[] = [];
    const count = Math.min(bytes.readUInt16BE(header + 3), bytes.length >> 2);
    for (let index = 0; index < count; index++) {
      const pointer = header + 8 + 2 * index;
      if (pointer + 2 > bytes.length) break;
      const at = bytes.readUInt16BE(pointer);
      const row = this.#carveCell({ bytes, kind: LEAF_TABLE, header, cells: [] }, at);
      if (row !== undefined) rows.push(row);
    }
    return rows;
  }

  #carveCell(page: Page, at: number): Row | undefined {
    try {
      const cell = cellAt(page, at);
      const values = drained(this.#values(page, cell, []));
      const isTree = COLUMNS.every((column) => isPlausible(column, values.get(column)));
      return isTree ? rowFrom(values, this.#source.encoding, this.#numbers) : undefined;
    } catch (error) {
      // Not a row of the tree.
      if (error instanceof Malformed || error instanceof RangeError) return undefined;
      throw error;
    }
  }

  /** True when SELECT returns the rows sorted by inode, whatever their order in the file. */
  get byInode(): boolean {
    return this.#shape.withoutRowid;
  }

  /** The pages that hold rows, in key order; each step reads the pages down to the next one. */
  pages(onDamage?: (page: number) => void): Generator<number> {
    return pagesOf(this.#source, this.#root, onDamage);
  }

  /** The rows of a page, in steps. */
  *rows(number: number): Generator<undefined, PageRows> {
    const page = parsePage(this.#source, number);
    const rows: Row[] = [];
    const overflow: number[] = [];
    let bytes = 0;
    for (const at of page.cells) {
      const cell = cellAt(page, at);
      const values = yield* this.#values(page, cell, overflow);
      const row = rowFrom(values, this.#source.encoding, this.#numbers);
      bytes += row.data.length;
      rows.push(row);
      if (rows.length % STEP_ROWS === 0) yield undefined;
    }
    return { page: number, rows, overflow, bytes };
  }

  /** The columns of a cell by name; only the size of `data` beyond the limit. */
  *#values(
    page: Page,
    cell: Cell,
    overflow: number[],
  ): Generator<undefined, Map<Column, ColumnValue>> {
    const { position, rowid } = this.#shape;
    const isIndex = page.kind === LEAF_INDEX || page.kind === INTERIOR_INDEX;
    const chain: number[] = [];
    let bytes = yield* payload(this.#source, page, cell, isIndex, HEAD_BYTES, chain);
    const columns = columnsOf(bytes, cell.payload);
    const data = columns[position.get("data") ?? 0];
    const omitted = serialBytes(data?.type ?? 0);
    // Columns after an omitted one are not read: pmxcfs's table has none after `data`.
    const upTo = omitted > this.#limits.dataBytes ? (data?.at ?? 0) : cell.payload;
    if (upTo > bytes.length) {
      chain.length = 0;
      bytes = yield* payload(this.#source, page, cell, isIndex, upTo, chain);
    }
    for (const each of chain) overflow.push(each);
    const values = new Map<Column, ColumnValue>();
    for (const column of COLUMNS) {
      const place = columns[position.get(column) ?? 0];
      if (column === rowid) values.set(column, cell.rowid);
      else if (place === undefined) values.set(column, null);
      else if (place.at + serialBytes(place.type) > bytes.length) values.set(column, { omitted });
      else values.set(column, storedValue(bytes, place.type, place.at));
    }
    return values;
  }
}

/** True for a value that a row of pmxcfs can have in this column. */
function isPlausible(column: Column, value: ColumnValue | undefined): boolean {
  if (column === "data") return true;
  if (column !== "name") return typeof value === "number" || typeof value === "bigint";
  return typeof value === "object" && value !== null && "text" in value && value.text.length > 0;
}

/** The pages of a b-tree, depth first; a page that occurs twice is a cycle. */
function* pagesOf(
  source: PageSource,
  root: number,
  onDamage?: (page: number) => void,
): Generator<number> {
  const seen = new Set<number>();
  const stack: { readonly number: number; readonly level: number }[] = [{ number: root, level: 0 }];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { number, level } = next;
    try {
      if (seen.has(number) || level > MAX_LEVELS) throw new Malformed();
      seen.add(number);
      const page = parsePage(source, number);
      const isTable = page.kind === INTERIOR_TABLE || page.kind === LEAF_TABLE;
      if (page.kind !== INTERIOR_TABLE) yield number;
      if (page.kind !== INTERIOR_TABLE && page.kind !== INTERIOR_INDEX) continue;
      if (!isTable && page.kind !== INTERIOR_INDEX) throw new Malformed();
      const children = page.cells.map((at) => page.bytes.readUInt32BE(at));
      children.push(page.bytes.readUInt32BE(page.header + 8));
      for (const child of children.toReversed()) stack.push({ number: child, level: level + 1 });
    } catch (error) {
      if (onDamage === undefined || !(error instanceof Malformed)) throw error;
      onDamage(number);
    }
  }
}

function cellAt(page: Page, at: number): Cell {
  const start = page.kind === INTERIOR_INDEX ? at + 4 : at;
  const payloadSize = size(page.bytes, start);
  if (page.kind !== LEAF_TABLE)
    return { rowid: 0, payload: payloadSize.value, at: payloadSize.next };
  const rowid = varint(page.bytes, payloadSize.next);
  return { rowid: rowid.value, payload: payloadSize.value, at: rowid.next };
}

/** The bytes of a payload that are in the page itself. */
function localBytes(usable: number, payloadBytes: number, isIndex: boolean): number {
  const most = isIndex ? Math.floor(((usable - 12) * 64) / 255) - 23 : usable - 35;
  if (payloadBytes <= most) return payloadBytes;
  const least = Math.floor(((usable - 12) * 32) / 255) - 23;
  const fitting = least + ((payloadBytes - least) % (usable - 4));
  return fitting <= most ? fitting : least;
}

/** The first `upTo` bytes of a cell's payload; adds the pages it has read to `overflow`. */
function* payload(
  source: PageSource,
  page: Page,
  cell: Cell,
  isIndex: boolean,
  upTo: number,
  overflow: number[],
): Generator<undefined, Buffer> {
  const wanted = Math.min(cell.payload, upTo);
  const local = localBytes(source.usable, cell.payload, isIndex);
  if (cell.at + local > source.usable) throw new Malformed();
  const inPage = page.bytes.subarray(cell.at, cell.at + Math.min(local, wanted));
  if (wanted <= local) return inPage;
  if (cell.payload > source.usable * source.pageCount) throw new Malformed();
  const whole = Buffer.allocUnsafeSlow(wanted);
  let filled = inPage.copy(whole);
  let next = page.bytes.readUInt32BE(cell.at + local);
  for (let step = 1; filled < wanted; step++) {
    if (step % CHAIN_STEP === 0) yield undefined;
    overflow.push(next);
    const bytes = source.page(next);
    filled += bytes.copy(whole, filled, 4, Math.min(source.usable, 4 + wanted - filled));
    next = bytes.readUInt32BE(0);
  }
  return whole;
}

/** Serial types and offsets of a record's columns. */
function columnsOf(
  record: Buffer,
  payloadBytes: number,
): { readonly type: number; readonly at: number }[] {
  const header = size(record, 0);
  if (header.value > record.length || header.value < header.next) throw new Malformed();
  const columns: { type: number; at: number }[] = [];
  let at = header.value;
  for (let cursor = header.next; cursor < header.value;) {
    const type = size(record, cursor);
    columns.push({ type: type.value, at });
    at += serialBytes(type.value);
    cursor = type.next;
  }
  if (at > payloadBytes) throw new Malformed();
  return columns;
}

/** Rows of sqlite_schema on one page: type, name, table, root page, statement. */
function* schemaRows(source: PageSource, number: number): Generator<StoredValue[]> {
  const page = parsePage(source, number);
  for (const at of page.cells) {
    const cell = cellAt(page, at);
    const bytes = drained(payload(source, page, cell, false, cell.payload, []));
    const columns = columnsOf(bytes, cell.payload);
    if (columns.length < SCHEMA_SHAPE_COLUMNS) continue;
    yield columns.map(({ type, at: from }) => storedValue(bytes, type, from));
  }
}
