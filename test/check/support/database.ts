/** Real config.db files for tests of the diagnosis: rows as a test gives them. */
import { Database } from "bun:sqlite";
import { chmodSync } from "node:fs";
import { hostname } from "node:os";

export const DIRECTORY = 4;
export const FILE = 8;

/** The name pmxcfs gives this node. */
export const NODE = hostname().split(".")[0] ?? "";

/** `content` is a number of bytes or the bytes; `extra` overrules writer and mtime. */
export type Row = readonly [
  inode: number,
  parent: number,
  type: number,
  name: string,
  content?: number | string,
  extra?: { readonly writer?: number; readonly mtime?: number },
];

const SCHEMA =
  "CREATE TABLE tree (  inode INTEGER PRIMARY KEY NOT NULL,  parent INTEGER NOT NULL CHECK" +
  "(typeof(parent)=='integer'),  version INTEGER NOT NULL CHECK(typeof(version)=='integer'),  " +
  "writer INTEGER NOT NULL CHECK(typeof(writer)=='integer'),  mtime INTEGER NOT NULL CHECK" +
  "(typeof(mtime)=='integer'),  type INTEGER NOT NULL CHECK(typeof(type)=='integer'),  " +
  "name TEXT NOT NULL,  data BLOB);";

/** The directories a node has. */
export function nodeTree(node = NODE): Row[] {
  return [
    [1, 0, DIRECTORY, "nodes"],
    [2, 1, DIRECTORY, node],
    [3, 2, DIRECTORY, "qemu-server"],
    [4, 2, DIRECTORY, "lxc"],
    [5, 0, FILE, "storage.cfg", "dir: local\n"],
  ];
}

function bytesOf(content: number | string | undefined): Uint8Array | null {
  if (content === undefined) return null;
  return typeof content === "number" ? Buffer.alloc(content, 1) : Buffer.from(content, "latin1");
}

/** Makes the file, as pmxcfs leaves one after a clean stop. */
export function writeDatabase(path: string, rows: readonly Row[], mtime = 1_790_000_000): void {
  const database = new Database(path);
  database.run("PRAGMA journal_mode=WAL");
  database.run(SCHEMA);
  const insert = database.query("INSERT INTO tree VALUES (?, ?, 1, ?, ?, ?, ?, ?)");
  insert.run(0, 0, 0, mtime, FILE, "__version__", null);
  for (const [inode, parent, type, name, content, extra = {}] of rows) {
    const { writer = 0, mtime: own = mtime } = extra;
    insert.run(inode, parent, writer, own, type, name, bytesOf(content));
  }
  database.close();
  chmodSync(path, 0o600);
}
