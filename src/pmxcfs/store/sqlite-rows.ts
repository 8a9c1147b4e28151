/**
 * Reads rows through SQLite: for the connection that writes the database, and to find out what the
 * C server would read. (Code that only reads a file uses sqlite/, which changes nothing.)
 */
import type { Database } from "bun:sqlite";
import { rowFrom, RowNumbers } from "./sqlite/row.ts";
import type { StoredValue } from "./sqlite/record.ts";
import { COLUMNS, type Column } from "./sqlite/schema.ts";
import type { Row } from "./tree-rows.ts";

const ALL_ROWS =
  "SELECT inode, parent, version, writer, mtime, type, CAST(name AS BLOB), CAST(data AS BLOB) " +
  "FROM tree ORDER BY inode";

/** Rows of one statement. It is finalized, since an open statement keeps the file open. */
export function selectAll(database: Database, sql: string): unknown[][] {
  const statement = database.prepare(sql);
  try {
    return statement.values();
  } finally {
    statement.finalize();
  }
}

function stored(value: unknown): StoredValue {
  if (typeof value === "bigint") return exact(value);
  if (typeof value === "number") return { real: value };
  if (typeof value === "string") return { text: Buffer.from(value, "utf8") };
  return value instanceof Uint8Array ? { blob: Buffer.from(value) } : null;
}

/** As a number where that is exact. */
function exact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** Statement.safeIntegers of Bun, which its types do not declare: integers are read as bigint. */
interface SafeIntegers {
  safeIntegers(on: boolean): void;
}

/** All rows in the order in which the C server reads them. Throws what SQLite throws. */
export function readRows(database: Database): Row[] {
  const numbers = new RowNumbers();
  using statement = database.prepare(ALL_ROWS);
  (statement as unknown as SafeIntegers).safeIntegers(true);
  return statement.values().map((values) => {
    const columns = new Map<Column, StoredValue>();
    for (const [index, column] of COLUMNS.entries()) columns.set(column, stored(values[index]));
    return rowFrom(columns, "utf8", numbers);
  });
}
