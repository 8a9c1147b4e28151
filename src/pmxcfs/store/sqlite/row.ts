/**
 * Makes a row of columns, converted as the C server converts them. Inodes beyond 2^53 get a number
 * of ours, because two of them can be the same double; the inode in the file is kept beside it.
 */
import type { Row } from "../tree-rows.ts";
import type { TextEncoding } from "./page-source.ts";
import { toBytes, toInt64, toText, type StoredValue } from "./record.ts";
import type { Column } from "./schema.ts";

/** A column's value, or the size of one too large to be read. */
export type ColumnValue = StoredValue | { readonly omitted: number };

/** Above this, doubles are 2 apart. */
const WIDE = 2 ** 53;

/** One per database: the same wide inode gets the same number each time. */
export class RowNumbers {
  readonly #wide = new Map<bigint, number>();
  /** Columns other than `name` and `data` that have a value that is not an integer. */
  readonly notIntegers = new Set<Column>();

  of(value: number | bigint): number {
    if (typeof value === "number") return value;
    let number = this.#wide.get(value);
    if (number === undefined) {
      number = (WIDE + 2 * this.#wide.size) * (value < 0n ? -1 : 1);
      this.#wide.set(value, number);
    }
    return number;
  }
}

/** The low 32 bits, unsigned. */
const low32 = (value: number | bigint): number =>
  typeof value === "number" ? value >>> 0 : Number(BigInt.asUintN(32, value));

function stored(value: ColumnValue | undefined): StoredValue | undefined {
  return typeof value === "object" && value !== null && "omitted" in value ? null : value;
}

/** `name` ends at a NUL, as C strings do; `nameCut` is then set. */
export function rowFrom(
  values: ReadonlyMap<Column, ColumnValue>,
  encoding: TextEncoding,
  numbers: RowNumbers,
): Row {
  const integer = (column: Column): number | bigint => {
    const value = stored(values.get(column));
    if (typeof value === "object") numbers.notIntegers.add(column);
    return toInt64(value, encoding);
  };
  const [inode, parent] = [integer("inode"), integer("parent")];
  const name = toText(stored(values.get("name")), encoding);
  const nul = name.indexOf("\0");
  const data = values.get("data");
  const omitted = typeof data === "object" && data !== null && "omitted" in data && data.omitted;
  return {
    inode: numbers.of(inode),
    parent: numbers.of(parent),
    version: Number(integer("version")),
    writer: low32(integer("writer")),
    mtime: low32(integer("mtime")),
    type: low32(integer("type")) & 0xff,
    name: nul < 0 ? name : name.slice(0, nul),
    data: toBytes(stored(data)),
    ...(nul < 0 ? {} : { nameCut: true }),
    ...(typeof omitted === "number" ? { omitted } : {}),
    ...(typeof inode === "bigint" ? { wideInode: inode } : {}),
    ...(typeof parent === "bigint" ? { wideParent: parent } : {}),
  };
}
