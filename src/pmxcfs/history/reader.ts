/**
 * Queries on a history database: changes, contents, the whole tree at a moment. Read only; a server
 * may write to it meanwhile.
 */
import type { Database } from "bun:sqlite";
import { GUEST_DIRECTORIES } from "../state/guests.ts";
import { completeFrom, nodeOf, openForReading } from "./schema.ts";
import type { ChangeCause, ChangeKind } from "./change.ts";

/** A recorded change. Paths are latin1. */
export interface KeptChange {
  readonly id: number;
  readonly version: number;
  readonly firstVersion: number;
  readonly timeMs: number;
  readonly writer: number;
  readonly pid: number | null;
  readonly uid: number | null;
  readonly command: string | null;
  readonly kind: ChangeKind;
  readonly cause: ChangeCause;
  readonly path: string;
  readonly to: string | null;
  readonly type: "file" | "directory";
  readonly size: number;
  readonly mtime: number;
  /** SHA-256 of the content; null where none was kept. */
  readonly digest: Uint8Array | null;
  readonly isPrivate: boolean;
}

export interface ChangeFilter {
  /** Changes of this path and of paths below it, and renames from or to them. */
  readonly path?: string | undefined;
  /** Changes of the configuration of this guest, on any node and of any kind. */
  readonly guest?: number | undefined;
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
  readonly writer?: number | undefined;
  /** Only this many, the newest ones. */
  readonly most?: number | undefined;
}

const COLUMNS = `id, version, first_version AS firstVersion, time_ms AS timeMs, writer, pid, uid,
  command, kind, cause, path, to_path AS "to", type, size, mtime, digest, private AS isPrivate`;

type Row = Omit<KeptChange, "isPrivate"> & { readonly isPrivate: number };

function kept(row: Row): KeptChange {
  return { ...row, isPrivate: row.isPrivate === 1 };
}

export class History implements Disposable {
  readonly #database: Database;

  private constructor(database: Database) {
    this.#database = database;
  }

  /** Opens the history at `file`, or says why there is none to read. */
  static open(file: string): History | string {
    const database = openForReading(file);
    return typeof database === "string" ? database : new History(database);
  }

  /** Name of the node that kept it. */
  get node(): string {
    return nodeOf(this.#database);
  }

  /** Changes that pass `filter`, oldest first. */
  changes(filter: ChangeFilter = {}): KeptChange[] {
    const where: string[] = [];
    const values: (string | number)[] = [];
    const add = (condition: string, ...given: (string | number)[]): void => {
      where.push(condition);
      values.push(...given);
    };
    const { path, guest, sinceMs, untilMs, writer, most } = filter;
    if (path !== undefined && path !== "") {
      // Not LIKE, which does not tell a from A. "0" is the character after "/".
      const [from, to] = [`${path}/`, `${path}0`];
      const places = ["path", "to_path"].map(
        (place) => `${place} = ? OR (${place} > ? AND ${place} < ?)`,
      );
      add(`(${places.join(" OR ")})`, path, from, to, path, from, to);
    }
    if (guest !== undefined) {
      const tails = GUEST_DIRECTORIES.map((name) => `nodes/*/${name}/${guest}.conf`);
      const one = tails.map(() => "path GLOB ? OR to_path GLOB ?").join(" OR ");
      add(`(${one})`, ...tails.flatMap((tail) => [tail, tail]));
    }
    if (sinceMs !== undefined) add("time_ms >= ?", sinceMs);
    if (untilMs !== undefined) add("time_ms <= ?", untilMs);
    if (writer !== undefined) add("writer = ?", writer);
    const condition = where.length === 0 ? "" : `WHERE ${where.join(" AND ")}`;
    const limit = most === undefined ? -1 : most;
    const rows = this.#database
      .query(`SELECT ${COLUMNS} FROM change ${condition} ORDER BY id DESC LIMIT ?`)
      .all(...values, limit) as Row[];
    return rows.toReversed().map(kept);
  }

  /** The newest version of the tree that the history has; 0 when it is empty. */
  get newestVersion(): number {
    const [row] = this.#database.query("SELECT max(version) FROM change").values();
    return Number(row?.[0] ?? 0);
  }

  /** The last change of the entry at `path`, up to `version` of the tree (default: now). */
  stateAt(path: string, version: number = Number.MAX_SAFE_INTEGER): KeptChange | undefined {
    const row = this.#database
      .query(
        `SELECT ${COLUMNS} FROM change WHERE version <= ?2 AND (path = ?1 OR to_path = ?1)
         ORDER BY id DESC LIMIT 1`,
      )
      .get(path, version) as Row | null;
    return row === null ? undefined : kept(row);
  }

  /** The content that a change left; undefined where none was kept. */
  content({ digest }: Pick<KeptChange, "digest">): Uint8Array | undefined {
    if (digest === null) return undefined;
    const [row] = this.#database
      .query("SELECT packed FROM content WHERE digest = ?")
      .values(digest);
    const packed = row?.[0];
    return packed instanceof Uint8Array ? Bun.zstdDecompressSync(packed) : undefined;
  }

  /** The whole tree at a moment: the last change of every path that existed. */
  treeAt(timeMs: number): Map<string, KeptChange> {
    const tree = new Map<string, KeptChange>();
    const rows = this.#database
      .query(`SELECT ${COLUMNS} FROM change WHERE time_ms <= ? ORDER BY id`)
      .iterate(timeMs) as Iterable<Row>;
    for (const row of rows) {
      const change = kept(row);
      if (change.kind === "remove" || change.to !== null) tree.delete(change.path);
      if (change.kind !== "remove") tree.set(change.to ?? change.path, change);
    }
    return tree;
  }

  /** When the history begins, ms since 1970; undefined when it is empty. */
  get beginsMs(): number | undefined {
    const [row] = this.#database.query("SELECT min(time_ms) FROM change").values();
    return typeof row?.[0] === "number" ? row[0] : undefined;
  }

  /**
   * From when on `treeAt` is complete, ms since 1970: earlier states were deleted. Undefined when
   * it is so from the beginning.
   */
  get completeFromMs(): number | undefined {
    return completeFrom(this.#database);
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}

/** Whether the path existed after the change `state` (History.stateAt). */
export function isThere(path: string, state: KeptChange): boolean {
  return state.kind !== "remove" && (state.to ?? state.path) === path;
}
