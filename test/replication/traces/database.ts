// A node's database during a replay: the rows of config.db in memory, and their tree.
import { createHash } from "node:crypto";
import { silentLog } from "../../../src/base/log.ts";
import { decodeUpdate } from "../../../src/pmxcfs/replication/dcdb-message.ts";
import { decodeControl, Type } from "../../../src/pmxcfs/replication/message.ts";
import { Memdb } from "../../../src/pmxcfs/state/memdb.ts";
import { digestOf } from "../../../src/pmxcfs/state/tree-index.ts";
import { MemoryRows } from "../../../src/pmxcfs/store/memory-rows.ts";
import type { RowImage } from "../../../src/pmxcfs/store/row-writer.ts";
import { loadedEntries, RowType } from "../../../src/pmxcfs/store/tree-rows.ts";
import { TreeStore } from "../../../src/pmxcfs/store/tree-store.ts";
import { unhex, type Database, type Trace, type TraceRow } from "./trace.ts";

const NOTHING = new Uint8Array(0);
/** An index: its head, then u64 inode and digest for each entry. */
const INDEX_HEAD = 32;
const INDEX_ENTRY = 40;

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

/** A new database that imported the host's corosync.conf: a create and a write, by writer 0. */
export function importedRows(content: Uint8Array, mtime: number): MemoryRows {
  const memory = new MemoryRows();
  const stamp = { version: 3, writer: 0, mtime };
  memory.root = { ...stamp, type: RowType.FILE };
  const row = { inode: 2, parent: 0, ...stamp, type: RowType.FILE, name: "corosync.conf" };
  memory.rows.set(2, { ...row, data: content });
  return memory;
}

/** The tree as a starting server loads it; it writes to `memory`. */
export function treeOf(memory: MemoryRows, now: () => number): TreeStore {
  const rows = [...memory.rows.values()]
    .toSorted((a, b) => a.inode - b.inode)
    .map((row) => Object.assign({}, row, { data: row.data ?? NOTHING }));
  const memdb = new Memdb();
  const { version, writer, mtime } = memory.root;
  const entries = memdb.reload({ version, writer, mtime }, loadedEntries(rows), new Map());
  return new TreeStore({ memdb, entries, writer: memory, log: silentLog, now });
}

/** Differences between a node's database at the end and the recorded one; one line each. */
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

/** Every entry in a recording: rows before and after, and the leader's updates. */
function poolOf(trace: Trace): Map<string, RowImage> {
  const pool = new Map<string, RowImage>();
  const add = ({ parent, data, ...rest }: RowImage) => {
    const bytes = data ?? NOTHING;
    const hashed = { ...rest, parentInode: parent, size: bytes.length, bytes };
    pool.set(digestOf(hashed).toString("hex"), { parent, data, ...rest });
  };
  const databases = [...Object.values(trace.before), ...Object.values(trace.after)];
  for (const database of databases) {
    if (typeof database === "string") continue;
    for (const row of rowsOf(database.rows).rows.values()) add(row);
  }
  for (const { hex } of Object.values(trace.messages)) {
    const control = decodeControl(unhex(hex));
    if (control?.type !== Type.update) continue;
    const update = decodeUpdate(control.body);
    if (update !== undefined && update.inode !== 0) {
      add({ ...update, data: update.data.length === 0 ? null : update.data });
    }
  }
  return pool;
}

/**
 * The database that a STATE's index describes, made of entries in the recording: for a node that
 * was changed outside the recording (in local mode). Undefined when an entry is not in it.
 */
export function rebuilt(trace: Trace, index: Buffer): MemoryRows | undefined {
  const pool = poolOf(trace);
  const memory = new MemoryRows();
  const version = Number(index.readBigUInt64LE(0));
  memory.root = {
    version,
    writer: index.readUInt32LE(16),
    mtime: index.readUInt32LE(20),
    type: RowType.FILE,
  };
  for (let at = INDEX_HEAD + INDEX_ENTRY; at < index.length; at += INDEX_ENTRY) {
    const row = pool.get(index.toString("hex", at + 8, at + INDEX_ENTRY));
    if (row === undefined) return undefined;
    memory.rows.set(row.inode, row);
  }
  return memory;
}
