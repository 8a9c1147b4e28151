/**
 * A config.db read for people instead of clients: everything that can be had of it, damaged or
 * not, with a list of what is wrong. Rows that have no place in the tree come under lost+found.
 */
import type { Database } from "bun:sqlite";
import { readFileSync } from "node:fs";
import { readRows, rowOf, SELECT_COLUMNS } from "../store/config-db.ts";
import { carveRows } from "./page-carver.ts";
import { errorText } from "../../base/error-text.ts";
import { SqliteFile } from "../store/sqlite-file.ts";
import { problemsOf, RowType, showInode, type Row } from "../store/tree-rows.ts";

export interface SalvagedItem {
  /** Names from the top, latin1; each could be the name of a file. */
  readonly path: readonly string[];
  readonly row: Row;
  readonly kind: "file" | "directory";
}

export interface Salvaged {
  /** A directory before what is in it. */
  readonly items: readonly SalvagedItem[];
  /** What is wrong; none when the C server would load it. */
  readonly problems: readonly string[];
  readonly rows: readonly Row[];
}

const LOST = "lost+found";
const NAME_BYTES = 255;

/** All rows, or those that can be read one by one and those that are found in loose pages. */
function rowsOf(file: string, problems: string[]): Row[] {
  const opened = SqliteFile.open(file);
  if (typeof opened === "string") {
    problems.push(`cannot be opened: ${opened}`);
    return carve(file, new Map(), problems);
  }
  using database = opened;
  try {
    return database.read(readRows);
  } catch (error) {
    problems.push(`cannot be read through: ${errorText(error)}`);
    const have = new Map<number, Row>();
    try {
      database.read((connection) => readFromBothEnds(connection, have));
    } catch (other) {
      problems.push(errorText(other));
    }
    return carve(file, have, problems);
  }
}

/** Row by row up to the first that cannot be read, from the start and from the end. */
function readFromBothEnds(database: Database, rows: Map<number, Row>): void {
  for (const [compare, order, start] of [
    [">", "ASC", -1],
    ["<", "DESC", Number.MAX_SAFE_INTEGER],
  ] as const) {
    const where = `WHERE inode ${compare} ? ORDER BY inode ${order} LIMIT 1`;
    let last: number = start;
    try {
      const next = database.prepare(`SELECT ${SELECT_COLUMNS} FROM tree ${where}`);
      for (;;) {
        const [columns] = next.values(last);
        if (columns === undefined) break;
        const row = rowOf(columns);
        if (rows.has(row.inode)) break;
        rows.set(row.inode, row);
        last = row.inode;
      }
    } catch {
      // A damaged page: what lies behind it is reached from the other end, or found in its pages.
    }
  }
}

function carve(file: string, have: Map<number, Row>, problems: string[]): Row[] {
  try {
    const found = [...carveRows(readFileSync(file)).values()].filter(
      ({ inode }) => !have.has(inode),
    );
    for (const row of found) have.set(row.inode, row);
    if (found.length > 0) {
      problems.push(`${found.length} entries were found in loose pages and may be out of date`);
    }
  } catch (error) {
    problems.push(errorText(error));
  }
  return [...have.values()].toSorted((a, b) => a.inode - b.inode);
}

/** True for what one path component can be called. */
function isName(name: string): boolean {
  const odd = name === "" || name === "." || name === ".." || name.length > NAME_BYTES;
  return !odd && !name.includes("/") && !name.includes("\0");
}

/** A name that tells which row it was, and fits. */
function substitute({ inode, name }: Row): string {
  const rest = name.replaceAll(/[/\0]/g, "_").slice(0, NAME_BYTES - 24);
  return `${showInode(inode)}-${rest === "" ? "unnamed" : rest}`;
}

class Placer {
  readonly #byParent = new Map<number, Row[]>();
  readonly #placed = new Set<number>();
  readonly items: SalvagedItem[] = [];

  constructor(rows: readonly Row[]) {
    for (const row of rows) {
      if (row.inode === 0) continue;
      const siblings = this.#byParent.get(row.parent);
      if (siblings === undefined) this.#byParent.set(row.parent, [row]);
      else siblings.push(row);
    }
    this.#below(0, []);
    const lost = rows.filter(({ inode }) => inode !== 0 && !this.#placed.has(inode));
    for (const row of lost) this.#lose(row);
  }

  #below(inode: number, path: readonly string[]): void {
    const names = new Set<string>();
    for (const row of this.#byParent.get(inode) ?? []) {
      // Of two rows with one name the first keeps it; the other is told apart by its inode.
      const clash = !isName(row.name) || names.has(row.name);
      const name = clash ? substitute(row) : row.name;
      names.add(name);
      this.#add(row, [...path, name]);
    }
  }

  #add(row: Row, path: readonly string[]): void {
    if (this.#placed.has(row.inode)) return;
    this.#placed.add(row.inode);
    const hasChildren = this.#byParent.has(row.inode);
    const isDirectory = row.type === RowType.DIRECTORY || (hasChildren && row.data.length === 0);
    this.items.push({ path, row, kind: isDirectory ? "directory" : "file" });
    if (isDirectory) this.#below(row.inode, path);
  }

  #lose(row: Row): void {
    if (this.#placed.has(row.inode)) return;
    if (!this.items.some(({ path }) => path.length === 1 && path[0] === LOST)) {
      const directory = { ...row, inode: 0, type: RowType.DIRECTORY, data: new Uint8Array(0) };
      this.items.push({ path: [LOST], row: directory, kind: "directory" });
    }
    this.#add(row, [LOST, substitute(row)]);
  }
}

/** Reads what there is; never throws. The file may be missing: then that is the one problem. */
export function salvage(file: string): Salvaged {
  const problems: string[] = [];
  const rows = rowsOf(file, problems);
  problems.push(...problemsOf(rows).map(({ reason }) => reason));
  // Every file of a directory that is gone says so.
  return { items: new Placer(rows).items, problems: [...new Set(problems)], rows };
}
