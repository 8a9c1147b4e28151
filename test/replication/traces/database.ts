// A node's database during a replay: rows in memory, as config.db has them, and the tree of them.
import { createHash } from "node:crypto";
import { silentLog } from "../../../src/base/log.ts";
import { Memdb } from "../../../src/pmxcfs/state/memdb.ts";
import { MemoryRows, type RowImage } from "../../../src/pmxcfs/store/row-writer.ts";
import { loadedEntries, RowType } from "../../../src/pmxcfs/store/tree-rows.ts";
import { TreeStore } from "../../../src/pmxcfs/store/tree-store.ts";
import { unhex, type Database, type TraceRow } from "./trace.ts";

const NOTHING = new Uint8Array(0);

/** The database that `rows` describe. */
export function rowsOf(rows: readonly TraceRow[]): MemoryRows {
  const memory = new MemoryRows();
  for (const [inode, parent, version, writer, mtime, type, name, data] of rows) {
    if (inode === 0) memory.root = { version, writer, mtime, type };
    else {
      const bytes = data === null ? null : unhex(data);
      memory.rows.set(inode, { inode, parent, version, writer, mtime, type, name, data: bytes });
    }
  }
  return memory;
}

/** A new database that imported the host's corosync.conf: create and write, by nobody. */
export function importedRows(content: Uint8Array, mtime: number): MemoryRows {
  const memory = new MemoryRows();
  const stamp = { version: 3, writer: 0, mtime };
  memory.root = { ...stamp, type: RowType.FILE };
  const row = { inode: 2, parent: 0, ...stamp, type: RowType.FILE, name: "corosync.conf" };
  memory.rows.set(2, { ...row, data: content });
  return memory;
}

/** The tree as a server that starts loads it; it writes to `memory`. */
export function treeOf(memory: MemoryRows, now: () => number): TreeStore {
  const rows = [...memory.rows.values()]
    .toSorted((a, b) => a.inode - b.inode)
    .map((row) => Object.assign({}, row, { data: row.data ?? NOTHING }));
  const memdb = new Memdb();
  const { version, writer, mtime } = memory.root;
  const entries = memdb.reload({ version, writer, mtime }, loadedEntries(rows), new Map());
  return new TreeStore({ memdb, entries, writer: memory, log: silentLog, now });
}

/** What differs between a node's end and what was recorded; one line each. */
export function differences(tree: TreeStore, memory: MemoryRows, wanted: Database): string[] {
  const found: string[] = [];
  const compare = (what: string, ours: unknown, theirs: unknown) => {
    if (ours !== theirs) found.push(`${what}: ${String(ours)}, recorded ${String(theirs)}`);
  };
  compare("version", tree.version, wanted.version);
  compare("checksum", tree.index.checksum().toString("hex"), wanted.checksum);
  if (tree.index.encode().toString("hex") !== wanted.index) found.push("index differs");
  const { version, writer, mtime, type } = memory.root;
  const root = {
    inode: 0,
    parent: 0,
    version,
    writer,
    mtime,
    type,
    name: "__version__",
    data: null,
  };
  const rows = [root, ...[...memory.rows.values()].toSorted((a, b) => a.inode - b.inode)];
  compare("number of rows", rows.length, wanted.rows.length);
  for (const [index, row] of wanted.rows.entries()) {
    const ours = rows[index];
    compare(`row ${row[0]}`, ours && shown(ours), shownRecorded(row));
  }
  return found;
}

function shown(row: RowImage): string {
  const { inode, parent, version, writer, mtime, type, name, data } = row;
  const digest = createHash("sha256")
    .update(data ?? NOTHING)
    .digest("hex");
  return [inode, parent, version, writer, mtime, type, name, kindOf(data), digest].join("|");
}

function shownRecorded(row: TraceRow): string {
  const [inode, parent, version, writer, mtime, type, name, data, digest] = row;
  const bytes = data === null ? null : unhex(data);
  return [inode, parent, version, writer, mtime, type, name, kindOf(bytes), digest].join("|");
}

function kindOf(data: Uint8Array | null): string {
  return data === null ? "NULL" : `${data.length} bytes`;
}
