/**
 * The rows of an SQL dump of a config.db: the output of `sqlite3 .dump`, and so the
 * config-TIME.sql.gz that pvecm keeps in /var/lib/pve-cluster/backup. Only INSERT statements into
 * `tree` are read, and only their literals: nothing in the file is executed.
 */
import type { StoredValue } from "../store/sqlite/record.ts";
import { rowFrom, RowNumbers } from "../store/sqlite/row.ts";
import { COLUMNS, parseTable, type Column } from "../store/sqlite/schema.ts";
import type { Row } from "../store/tree-rows.ts";

export interface DumpRows {
  readonly rows: readonly Row[];
  /** The transaction of the dump is committed: nothing is missing at the end. */
  readonly isWhole: boolean;
  /** INSERT statements into `tree` that could not be read. */
  readonly unread: number;
}

/** Whether a file begins like a dump. */
export function looksLikeDump(start: Buffer): boolean {
  const text = start.toString("latin1").trimStart();
  return /^(?:PRAGMA\b|BEGIN\b|--|\/\*|CREATE TABLE\b|INSERT INTO\b)/i.test(text);
}

/** Columns of a dump's CREATE TABLE, in the order of its values. */
function orderOf(text: string): readonly (Column | undefined)[] {
  const [sql] = /CREATE TABLE (?:IF NOT EXISTS )?["'`[]?tree["'`\]]?\s*\([^;]*\)/i.exec(text) ?? [];
  const shape = sql === undefined ? "" : parseTable(sql);
  if (typeof shape === "string") return COLUMNS;
  const order: Column[] = [];
  for (const [column, at] of shape.position) order[at] = column;
  return order;
}

/** `text` is latin1: one character per byte. */
export function parseDump(text: string): DumpRows {
  const numbers = new RowNumbers();
  const order = orderOf(text);
  const rows: Row[] = [];
  let unread = 0;
  const start = /^INSERT (?:OR \w+ )?INTO ["'`[]?tree["'`\]]?\s*(?:\([^)]*\)\s*)?VALUES\s*/gim;
  for (let found = start.exec(text); found !== null; found = start.exec(text)) {
    const parser = new Values(text, start.lastIndex);
    const tuples = parser.tuples();
    if (tuples === undefined) {
      unread++;
      continue;
    }
    start.lastIndex = parser.at;
    for (const values of tuples) {
      const columns = new Map<Column, StoredValue>();
      for (const [index, value] of values.entries()) {
        const column = order[index];
        if (column !== undefined) columns.set(column, value);
      }
      rows.push(rowFrom(columns, "utf8", numbers));
    }
  }
  return { rows: rows.toSorted((a, b) => a.inode - b.inode), isWhole: isWhole(text), unread };
}

function isWhole(text: string): boolean {
  return (
    /(?:COMMIT|END)(?: TRANSACTION)?;?\s*$/i.test(text.slice(-200)) || !/^BEGIN\b/im.test(text)
  );
}

/** Nesting of functions in a value; `.dump` writes two: replace(replace(...)). */
const MAX_CALLS = 8;

class Values {
  readonly #text: string;
  at: number;

  constructor(text: string, at: number) {
    this.#text = text;
    this.at = at;
  }

  /** `(1,2),(3,4);`; undefined when a value is not a literal, or the end is missing. */
  tuples(): StoredValue[][] | undefined {
    const all: StoredValue[][] = [];
    do {
      const values = this.#list(0);
      if (values === undefined) return undefined;
      all.push(values);
    } while (this.#take(","));
    return this.#take(";") ? all : undefined;
  }

  #take(character: string): boolean {
    this.#space();
    if (this.#text[this.at] !== character) return false;
    this.at++;
    return true;
  }

  #space(): void {
    while (/\s/.test(this.#text[this.at] ?? "")) this.at++;
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.#text) ?? undefined;
    if (found !== undefined) this.at = pattern.lastIndex;
    return found;
  }

  #list(calls: number): StoredValue[] | undefined {
    if (!this.#take("(")) return undefined;
    const values: StoredValue[] = [];
    do {
      const value = this.#value(calls);
      if (value === undefined) return undefined;
      values.push(value);
    } while (this.#take(","));
    return this.#take(")") ? values : undefined;
  }

  #value(calls: number): StoredValue | undefined {
    this.#space();
    const character = this.#text[this.at];
    if (character === "'") return this.#string();
    const blob = this.#match(/[xX]'([0-9A-Fa-f]*)'/y);
    if (blob !== undefined) return { blob: Buffer.from(blob[1] ?? "", "hex") };
    const number = this.#match(/[+-]?(?:\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?/y);
    if (number !== undefined) return numeral(number);
    const word = this.#match(/[A-Za-z_]+/y)?.[0].toLowerCase();
    if (word === "null") return null;
    return word === undefined || calls >= MAX_CALLS ? undefined : this.#call(word, calls);
  }

  #string(): StoredValue | undefined {
    let from = this.at + 1;
    const parts: string[] = [];
    for (;;) {
      const end = this.#text.indexOf("'", from);
      if (end < 0) return undefined;
      parts.push(this.#text.slice(from, end));
      if (this.#text[end + 1] !== "'") {
        this.at = end + 1;
        return { text: Buffer.from(parts.join("'"), "latin1") };
      }
      from = end + 2;
    }
  }

  /** Functions that `.dump` uses to keep line ends out of its lines, and casts. */
  #call(name: string, calls: number): StoredValue | undefined {
    if (name === "cast") return this.#cast(calls);
    const values = this.#list(calls + 1);
    const [first, from, to] = values ?? [];
    if (name === "char" && values !== undefined) {
      const text = String.fromCodePoint(...values.map(Number).filter((code) => code <= 0x10_ffff));
      return { text: Buffer.from(text, "utf8") };
    }
    const [text, search, put] = [textOf(first), textOf(from), textOf(to)];
    if (name === "unistr" && text !== undefined) return unescaped(text);
    if (name !== "replace" || text === undefined || search === undefined || put === undefined) {
      return undefined;
    }
    return { text: Buffer.from(search === "" ? text : text.replaceAll(search, put), "latin1") };
  }

  #cast(calls: number): StoredValue | undefined {
    if (!this.#take("(")) return undefined;
    const value = this.#value(calls + 1);
    this.#space();
    const type = this.#match(/AS\s+(TEXT|BLOB)\s*\)/iy)?.[1]?.toLowerCase();
    if (value === undefined || type === undefined) return undefined;
    if (value === null || typeof value !== "object" || "real" in value) return value;
    const bytes = "text" in value ? value.text : value.blob;
    return type === "text" ? { text: bytes } : { blob: bytes };
  }
}

function textOf(value: StoredValue | undefined): string | undefined {
  return typeof value === "object" && value !== null && "text" in value
    ? value.text.toString("latin1")
    : undefined;
}

function numeral([text, fraction, exponent]: RegExpExecArray): StoredValue {
  if (fraction !== undefined || exponent !== undefined) return { real: Number(text) };
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : BigInt.asIntN(64, BigInt(text.replace("+", "")));
}

/** \uXXXX and \UXXXXXXXX and \\, as newer sqlite3 shells write control characters. */
function unescaped(text: string): StoredValue {
  const plain = text.replaceAll(
    /\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([0-9A-Fa-f]{4})|(\\))/g,
    (_, short?: string, long?: string, bare?: string, slash?: string) => {
      if (slash !== undefined) return "\\";
      const code = Number.parseInt(short ?? long ?? bare ?? "0", 16);
      return Buffer.from(String.fromCodePoint(Math.min(code, 0x10_ffff)), "utf8").toString(
        "latin1",
      );
    },
  );
  return { text: Buffer.from(plain, "latin1") };
}
