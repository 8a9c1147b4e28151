/**
 * What the C server would do with a config.db, and what else is worth knowing about it: one verdict
 * for `config verify` and `--check`. A problem keeps pmxcfs from starting (or lets it start with an
 * empty /etc/pve), in the C server's words; everything else is a note.
 *
 *   const verdict = verifyDatabase("/var/lib/pve-cluster/config.db");
 *   verdict.problems[0]?.kind     "duplicate-name", "damaged", "empty", ... ; none: it loads
 *   verdict.problems[0]?.text     what its log would say
 *   verdict.problems[0]?.path     where in the tree; otherPath of the one it clashes with
 *   verdict.notes                 lines for administrators
 *   verdict.wal                   frames, valid, committed, belongs
 *   verdict.largest, .nodes, .modifiedS ...   what is in it
 */
import { CfsLimits } from "../../base/limits.ts";
import { SCHEMA } from "../store/config-writer.ts";
import { mountMadeNames } from "../state/private-path.ts";
import { RowType, type Row } from "../store/tree-rows.ts";
import { judgeRows, type JudgedRows, type Refusal, type RefusalKind } from "../store/tree-rules.ts";
import { readAtRest } from "./read-at-rest.ts";
import type { FileProblemKind, ReadDatabase } from "./read-database.ts";
import type { WalReport } from "./write-ahead-log.ts";

export interface Problem {
  readonly kind: FileProblemKind | RefusalKind;
  /** As the C server logs it, or why it must not be started. */
  readonly text: string;
  /** Path of the row, latin1, as far as its directories exist. */
  readonly path?: string;
  /** Path of the other row of a clash, which came first. */
  readonly otherPath?: string;
  readonly row?: Row;
  readonly other?: Row;
  /** Only of `duplicate-vmid`. */
  readonly vmid?: number;
}

export interface Verdict {
  /** Empty when the C server starts with it and shows its content. */
  readonly problems: readonly Problem[];
  readonly notes: readonly string[];
  readonly wal: WalReport | undefined;
  /** `dump`: SQL text; `none`: nothing could be opened. */
  readonly format: ReadDatabase["format"];
  readonly files: number;
  readonly directories: number;
  readonly bytes: number;
  /** The largest files. */
  readonly largest: readonly { readonly path: string; readonly bytes: number }[];
  /** Directories below nodes/. */
  readonly nodes: readonly string[];
  /** Version of row 0, and when it was written (seconds since 1970); 0 without one. */
  readonly version: number;
  readonly modifiedS: number;
  /** Id of the node that made the last change; 0 outside a cluster. */
  readonly writer: number;
}

const LARGEST = 5;
/** Paths are cut beyond this: a database may nest directories thousands deep. */
const PATH_CHARS = 1024;

/** The problem in one line: C's message, and for two entries that clash their paths. */
export function problemLine({
  text,
  path,
  otherPath,
}: Pick<Problem, "text" | "path" | "otherPath">): string {
  if (otherPath === undefined || path === undefined) return text;
  return otherPath === path ? `${text} (${path})` : `${text} (${otherPath} and ${path})`;
}

/** Applies all rules to a database. Only reads; throws nothing. */
export function verifyDatabase(file: string): Verdict {
  return judgeDatabase(readAtRest(file));
}

/** The same for a database that has been read already. */
export function judgeDatabase(database: ReadDatabase): Verdict {
  const { rows, problem, wal, format, sql } = database;
  const judged = judgeRows(rows);
  const paths = new Paths(rows);
  const notes = [...database.notes];
  const problems: Problem[] = problem === undefined ? [] : [problem];
  // Of a damaged file rows are missing: the rules would report what only those explain.
  if (!database.isPartial) problems.push(...judged.refusals.map((each) => paths.problem(each)));
  if (problem === undefined)
    notes.push(...rowNotes(judged, rows, paths), ...tableNotes(sql, format));
  return { problems, notes, wal, format, ...contents(judged, rows, paths) };
}

/** Paths of rows, as far as their directories exist. */
class Paths {
  readonly #byInode: ReadonlyMap<number, Row>;

  constructor(rows: readonly Row[]) {
    this.#byInode = new Map(rows.map((row) => [row.inode, row]));
  }

  of(row: Row): string {
    const names: string[] = [];
    let length = 0;
    const walked = new Set<Row>();
    for (let at: Row | undefined = row; at !== undefined && at.inode !== 0;) {
      if (walked.has(at) || length > PATH_CHARS) {
        names.push("...");
        break;
      }
      walked.add(at);
      names.push(at.name);
      length += at.name.length + 1;
      at = at.parent === 0 ? undefined : (this.#byInode.get(at.parent) ?? MISSING);
    }
    return names.toReversed().join("/");
  }

  problem({ kind, text, row, other, vmid }: Refusal): Problem {
    const clash = other === undefined ? {} : { other, otherPath: this.of(other) };
    const path = row.inode === 0 ? {} : { path: this.of(row) };
    return { kind, text, row, ...path, ...clash, ...(vmid === undefined ? {} : { vmid }) };
  }
}

/** Stands in for a directory that has no row. */
const MISSING: Row = {
  inode: 0.5,
  parent: 0,
  version: 0,
  writer: 0,
  mtime: 0,
  type: RowType.DIRECTORY,
  name: "?",
  data: new Uint8Array(0),
};

function rowNotes({ remarks, rootRow }: JudgedRows, rows: readonly Row[], paths: Paths): string[] {
  const notes: string[] = [];
  let newest = 0;
  let highest = 0;
  for (const { version, inode } of rows) {
    newest = Math.max(newest, version);
    highest = Math.max(highest, inode);
  }
  if (rootRow === undefined) notes.push("no row 0: the C server adds one, with version 1");
  else if (rootRow.version === 0) notes.push("row 0 has version 0: the C server makes it 1");
  else if (rootRow.version < Math.max(newest, highest)) {
    const used = rootRow.version < newest ? `version ${newest}` : `inode ${highest}`;
    notes.push(
      `row 0 has version ${rootRow.version}, but ${used} is in use: ` +
        "a file that the C server creates may take the place of another one",
    );
  }
  for (const { row, text } of remarks) notes.push(`${paths.of(row)}: ${text}`);
  for (const row of rows) {
    const size = row.omitted ?? row.data.length;
    const isFile = row.inode !== 0 && row.type === RowType.FILE;
    if (isFile && size > CfsLimits.fileBytes) {
      notes.push(`${paths.of(row)}: ${size} bytes, more than ${CfsLimits.fileBytes}`);
    }
    if (row.inode !== 0 && row.parent === 0 && mountMadeNames.has(row.name)) {
      notes.push(`${row.name}: hidden by an entry that pmxcfs makes itself`);
    }
  }
  return notes;
}

function tableNotes(sql: string | undefined, format: ReadDatabase["format"]): string[] {
  if (format !== "database" || sql === undefined || `${sql};` === SCHEMA) return [];
  return ["the table is not declared as pmxcfs does"];
}

function contents({ entries, rootRow }: JudgedRows, rows: readonly Row[], paths: Paths) {
  let [files, directories, bytes] = [0, 0, 0];
  const large: { row: Row; bytes: number }[] = [];
  for (const row of rows) {
    if (row.inode === 0) continue;
    if (row.type === RowType.DIRECTORY) directories++;
    else {
      const size = row.omitted ?? row.data.length;
      files++;
      bytes += size;
      large.push({ row, bytes: size });
    }
  }
  large.sort((a, b) => b.bytes - a.bytes);
  const top = entries.find(({ row }) => row?.parent === 0 && row.name === "nodes");
  const nodes: string[] = [];
  for (const { row } of top?.children.values() ?? []) {
    if (row?.type === RowType.DIRECTORY) nodes.push(row.name);
  }
  const largest = large
    .slice(0, LARGEST)
    .map(({ row, bytes: size }) => ({ path: paths.of(row), bytes: size }));
  const { version = 0, writer = 0, mtime: modifiedS = 0 } = rootRow ?? {};
  return { files, directories, bytes, largest, nodes, version, modifiedS, writer };
}
