/**
 * The columns of the table `tree`, from its CREATE TABLE statement. The C server reads columns by
 * name, so their order, their types and additional columns do not matter.
 */

/** The columns of a row by name. */
export const COLUMNS = [
  "inode",
  "parent",
  "version",
  "writer",
  "mtime",
  "type",
  "name",
  "data",
] as const;
export type Column = (typeof COLUMNS)[number];

export interface TableShape {
  /** Index of each column in a record. */
  readonly position: ReadonlyMap<Column, number>;
  /** The column that is an alias of the rowid; the record has NULL in its place. */
  readonly rowid: Column | undefined;
  /** The table is stored as an index b-tree (WITHOUT ROWID). */
  readonly withoutRowid: boolean;
}

/** Top-level parts of a parenthesised list, with quotes and comments understood. */
function splitList(sql: string): { readonly parts: readonly string[]; readonly rest: string } {
  const parts: string[] = [];
  let depth = 0;
  let part = "";
  for (const [token] of sql.matchAll(TOKEN)) {
    if (token === ")" && depth === 1) {
      parts.push(part.trim());
      return { parts, rest: sql.slice(sql.indexOf(part) + part.length + 1) };
    }
    if (token === "(") depth++;
    if (token === ")") depth--;
    if (depth === 1 && token === ",") {
      parts.push(part.trim());
      part = "";
    } else if (depth >= 1 && !(depth === 1 && token === "(" && part === "" && parts.length === 0)) {
      part += token.startsWith("--") || token.startsWith("/*") ? " " : token;
    }
  }
  return { parts, rest: "" };
}

const TOKEN =
  /'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|\/\*[\s\S]*?\*\/|[\s\S]/g;
const NAME = /^(?:"((?:[^"]|"")*)"|`((?:[^`]|``)*)`|\[([^\]]*)\]|'((?:[^']|'')*)'|([^\s(]+))/;
const CONSTRAINT = /^(?:constraint|primary|unique|check|foreign)\b/i;

function nameOf(part: string): string {
  const found =
    NAME.exec(part)
      ?.slice(1)
      .find((group) => group !== undefined) ?? "";
  return found.replaceAll('""', '"').toLowerCase();
}

/** The shape; or a text in SQLite's words when a column is missing. */
export function parseTable(sql: string): TableShape | string {
  const { parts, rest } = splitList(sql);
  const columns = parts.filter((part) => !CONSTRAINT.test(part));
  const withoutRowid = /without\s+rowid/i.test(rest) || /without\s+rowid\s*;?\s*$/i.test(sql);
  const names = columns.map(nameOf);
  const keyColumn = columns.findIndex((part) => /\bprimary\s+key\b/i.test(part));
  const isAlias = /^\S+\s+integer\s+primary\s+key\b(?!\s+desc)/i.test(columns[keyColumn] ?? "");
  const tableKey = parts.find((part) => /^(?:constraint\s+\S+\s+)?primary\s+key/i.test(part));
  const key = nameOf(/\(\s*([^,)\s]+)\s*\)/.exec(tableKey ?? "")?.[1] ?? "");
  const typed = columns.find((part) => nameOf(part) === key) ?? "";
  const isTableAlias = key !== "" && /^\S+\s+integer\b/i.test(typed);
  const keyName = isAlias ? names[keyColumn] : isTableAlias ? key : undefined;
  // In a table WITHOUT ROWID the columns of the key come first.
  const first = keyColumn >= 0 ? names[keyColumn] : key;
  const order = withoutRowid
    ? [...names.filter((name) => name === first), ...names.filter((name) => name !== first)]
    : names;
  const position = new Map<Column, number>();
  for (const column of COLUMNS) {
    const at = order.indexOf(column);
    if (at < 0) return `table tree has no column named ${column}`;
    position.set(column, at);
  }
  const rowid = COLUMNS.find((column) => column === keyName);
  return { position, rowid: withoutRowid ? undefined : rowid, withoutRowid };
}
