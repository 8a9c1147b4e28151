/**
 * Opens the node's own config.db for writing: creates or loads it, by the rules by which C loads,
 * and makes the tree of it. C counterpart: memdb.c, memdb_open; database.c, bdb_backend_open.
 */
import type { Log } from "../../base/log.ts";
import { type Entry, Memdb, pathOf, type Stamp } from "../state/memdb.ts";
import { ConfigDbWriter, type ConfigDbWriterOptions } from "./config-db-writer.ts";
import { errorText } from "../../base/error-text.ts";
import { duplicateGuestsIn, loadedEntries, problemsOf, RowType, type Row } from "./tree-rows.ts";
import { TreeStore } from "./tree-store.ts";

/** `file`: /var/lib/pve-cluster/config.db on a node; made when it is not there. */
export interface OpenTreeOptions extends ConfigDbWriterOptions {
  /** Seconds of a clock that never goes back, for the lock timers. */
  readonly now?: () => number;
}

interface Loaded {
  readonly memdb: Memdb;
  readonly entries: ReadonlyMap<number, Entry>;
}

/** The tree in `file`, ready to be changed; or one line that says why it is refused. */
export function openTree(options: OpenTreeOptions): TreeStore | string {
  const { log, now } = options;
  const writer = ConfigDbWriter.open(options);
  if (typeof writer === "string") return writer;
  const loaded = load(writer, log);
  if (typeof loaded === "string") {
    writer[Symbol.dispose]();
    return loaded;
  }
  return new TreeStore({ ...loaded, writer, log, ...(now === undefined ? {} : { now }) });
}

function load(writer: ConfigDbWriter, log: Log): Loaded | string {
  let rows: Row[];
  try {
    rows = writer.read();
  } catch (error) {
    return `select returned error: ${errorText(error)}`;
  }
  const [problem] = problemsOf(rows);
  if (problem !== undefined) return problem.reason;
  const root = rootOf(rows, writer, log);
  if (typeof root === "string") return root;
  const memdb = new Memdb();
  const entries = memdb.reload(root, loadedEntries(rows), new Map());
  const files = [...entries.values()].filter(({ kind }) => kind === "file");
  const [duplicate] = duplicateGuestsIn(files.map(pathOf));
  return duplicate ?? { memdb, entries };
}

/** Version, writer and mtime of the tree; row 0 is written when there is none (as C does). */
function rootOf(rows: readonly Row[], writer: ConfigDbWriter, log: Log): Stamp | string {
  const row = rows.find(({ inode }) => inode === 0);
  let highest = 0;
  for (const { inode, version } of rows) highest = Math.max(highest, inode, version);
  const fresh = row === undefined || row.version === 0;
  const version = Math.max(1, highest);
  if (!fresh && row.version < highest) {
    log.warn(
      `${writer.file}: row 0 has version ${row.version}, but ${highest} is in use: continuing ` +
        `from there, so that no entry is overwritten`,
    );
  }
  const root = { version, writer: row?.writer ?? 0, mtime: row?.mtime ?? 0 };
  if (!fresh) return root;
  const failed = writer.commit({
    deleted: [],
    replaced: [],
    root: { ...root, type: RowType.FILE },
  });
  return failed === 0 ? root : "row 0 could not be written";
}
