/**
 * Renames a node's directory in a database that no server has open. One transaction, so that a
 * crash leaves the old name or the new one, and every guest exactly once. Rows are stamped as a
 * rename by pmxcfs stamps them: a new version for each, row 0 with the last.
 */
import { constants, Database } from "bun:sqlite";
import { rmSync, writeFileSync } from "node:fs";
import { counted } from "../../base/counted.ts";
import { errorText } from "../../base/error-text.ts";
import { COROSYNC_CONF } from "../../base/paths.ts";
import { unixSeconds } from "../../platform/clock.ts";
import { demandRegularDatabase, readRegularFile } from "../../platform/regular-file.ts";
import { guestPath, NODE_NAME } from "../state/guests.ts";
import { readJournal } from "../store/journal.ts";
import { journalState } from "../store/replay.ts";
import { demandOwnLog } from "../store/served-names.ts";
import { readRows } from "../store/sqlite-rows.ts";
import { highestVersion, RowType, tooWide, type Row } from "../store/tree-rows.ts";
import { syncToDisk } from "../store/upkeep.ts";
import { judgeRows, nodePath, type TreeNode } from "../store/tree-rules.ts";
import { keptName } from "./import.ts";
import { verifyDatabase } from "./verify.ts";

export interface RenamedNode {
  /** Files and directories below the new name; 0: it was renamed before. */
  readonly entries: number;
  readonly guests: number;
  /** Places that still name the node: `storage.cfg line 4: nodes pve1`. */
  readonly mentions: readonly string[];
  readonly kept: string | undefined;
}

const NODE = new RegExp(`^${NODE_NAME}$`);

/** Whether a node can have this name. */
export function isNodeName(name: string): boolean {
  return NODE.test(name);
}

/** Files of the host that may contain node names; only read. */
const HOST_FILES = ["/etc/hosts", "/etc/hostname", COROSYNC_CONF];
const MENTIONS = 50;

/** Moves: an entry gets another directory; directories that become empty are removed. */
interface Plan {
  readonly moves: readonly { readonly row: Row; readonly parent: number; readonly name: string }[];
  readonly removed: readonly Row[];
  readonly entries: number;
  readonly guests: number;
}

/** Renames the directory; a line says why not, and then nothing has changed. */
export function renameNode(file: string, old: string, name: string): RenamedNode | string {
  if (!isNodeName(name)) return `"${name}" cannot be a node's name`;
  if (old === name) return "old and new name are the same";
  const { problems } = verifyDatabase(file);
  if (problems[0] !== undefined) return `it is not sound: ${problems[0].text}`;
  let database: Database | undefined;
  try {
    demandRegularDatabase(file);
    demandOwnLog(file);
    database = new Database(file, constants.SQLITE_OPEN_READWRITE);
    // No other process may have it open: a server would not see what changes under it.
    database.run("PRAGMA busy_timeout = 0");
    database.run("PRAGMA locking_mode = EXCLUSIVE");
    database.run("BEGIN EXCLUSIVE");
    const rows = readRows(database);
    const wide = tooWide(rows);
    if (wide !== undefined) return wide;
    const waiting = waitingChanges(file, rows);
    if (waiting !== undefined) return waiting;
    const plan = planRename(rows, old, name);
    if (typeof plan === "string") return plan;
    const mentions = mentionsOf(rows, old);
    if (plan.entries === 0) return { entries: 0, guests: 0, mentions, kept: undefined };
    database.run("ROLLBACK");
    database.run("PRAGMA wal_checkpoint(TRUNCATE)");
    const kept = keepCopy(database, file);
    database.run("BEGIN EXCLUSIVE");
    applyPlan(database, rows, plan);
    database.run("COMMIT");
    return { entries: plan.entries, guests: plan.guests, mentions, kept };
  } catch (error) {
    const text = errorText(error);
    return /locked/.test(text) ? `another process has it open: stop pve-cluster first` : text;
  } finally {
    if (database?.inTransaction === true) database.run("ROLLBACK");
    database?.close();
  }
}

/** Why the rows must not change: the changes in the journal continue them, and would be lost. */
function waitingChanges(file: string, rows: readonly Row[]): string | undefined {
  const journal = readJournal(file);
  const state = journalState(journal, rows, highestVersion(rows));
  if (typeof state === "string") return state;
  if (typeof journal === "object" && journal.isDamaged) {
    return "config.db.changes beside it is damaged: run `pmxcfs-ipc config flush` first";
  }
  if (state.kind !== "replay") return undefined;
  const changes = counted(state.journal.records.length, "change");
  return `${changes} in config.db.changes beside it: run \`pmxcfs-ipc config flush\` first`;
}

/** Keeps a copy of the whole database, the content of its -wal included. */
function keepCopy(database: Database, file: string): string {
  const kept = keptName(file);
  // Not a copy of the file: closing a descriptor of it would release the locks of this process.
  const content = database.serialize();
  try {
    writeFileSync(kept, content, { flag: "wx", mode: 0o600 });
    syncToDisk(kept);
  } catch (error) {
    // A part of a copy must not look like one.
    rmSync(kept, { force: true });
    throw error;
  }
  return kept;
}

function planRename(rows: readonly Row[], old: string, name: string): Plan | string {
  const judged = judgeRows(rows);
  const nodes = judged.entries.find((each) => each.row?.parent === 0 && each.row.name === "nodes");
  const [from, to] = [nodes?.children.get(old), nodes?.children.get(name)];
  if (from?.row === undefined) {
    return to === undefined
      ? `there is no nodes/${old}`
      : { moves: [], removed: [], entries: 0, guests: 0 };
  }
  if (from.row.type !== RowType.DIRECTORY) return `nodes/${old} is a file`;
  const counts = countBelow(from, `nodes/${old}`);
  if (to?.row === undefined) {
    const move = { row: from.row, parent: from.row.parent, name };
    return { moves: [move], removed: [], ...counts };
  }
  const moves: { row: Row; parent: number; name: string }[] = [];
  const removed: Row[] = [];
  const clash = mergeInto(from, to, moves, removed);
  return clash ?? { moves, removed, ...counts };
}

/**
 * Moves the entries of `from` into `to`, directory by directory; a text names an entry in both.
 */
function mergeInto(
  from: TreeNode,
  to: TreeNode,
  moves: { row: Row; parent: number; name: string }[],
  removed: Row[],
): string | undefined {
  for (const [name, child] of from.children) {
    const other = to.children.get(name);
    if (child.row === undefined) continue;
    if (other?.row === undefined) moves.push({ row: child.row, parent: to.inode, name });
    else if (child.row.type === RowType.DIRECTORY && other.row.type === RowType.DIRECTORY) {
      const clash = mergeInto(child, other, moves, removed);
      if (clash !== undefined) return clash;
    } else return `${nodePath(child)} and ${nodePath(other)} both exist: remove one of them first`;
  }
  if (from.row !== undefined) removed.push(from.row);
  return undefined;
}

function countBelow(top: TreeNode, path: string): { entries: number; guests: number } {
  let [entries, guests] = [0, 0];
  const ahead: (readonly [TreeNode, string])[] = [[top, path]];
  for (let next = ahead.pop(); next !== undefined; next = ahead.pop()) {
    const [node, at] = next;
    entries++;
    if (node.row?.type === RowType.FILE && guestPath(at) !== undefined) guests++;
    for (const [name, child] of node.children)
      ahead.push([child, at.length > 1000 ? at : `${at}/${name}`]);
  }
  return { entries, guests };
}

function applyPlan(database: Database, rows: readonly Row[], { moves, removed }: Plan): void {
  let version = highestVersion(rows);
  const now = unixSeconds();
  const move = database.prepare(
    "UPDATE tree SET parent = ?, name = CAST(? AS TEXT), version = ?, mtime = ? WHERE inode = ?",
  );
  const remove = database.prepare("DELETE FROM tree WHERE inode = ?");
  for (const { row, parent, name } of moves) {
    version++;
    move.run(parent, Buffer.from(name, "latin1"), version, now, row.inode);
  }
  for (const { inode } of removed) {
    version++;
    remove.run(inode);
  }
  const root = database.prepare(
    "REPLACE INTO tree (inode, parent, version, writer, mtime, type, name, data) " +
      "VALUES (0, 0, ?, 0, ?, 8, '__version__', NULL)",
  );
  root.run(version, now);
  for (const statement of [move, remove, root]) statement.finalize();
}

/** Lines of the tree's files and of the host's that name the node. */
function mentionsOf(rows: readonly Row[], node: string): string[] {
  const files = judgeRows(rows).entries.flatMap((entry) => {
    const { row } = entry;
    if (row?.type !== RowType.FILE) return [];
    return [{ path: nodePath(entry, 200), data: row.data }];
  });
  return findMentions(files, node);
}

/**
 * Places as `storage.cfg line 4: nodes pve1`: files of the tree (not private ones) and of the host
 * that contain the name.
 */
export function findMentions(
  files: Iterable<{ readonly path: string; readonly data: Uint8Array }>,
  node: string,
): string[] {
  const literal = node.replaceAll(/[^\w ]/g, String.raw`\$&`);
  const word = new RegExp(`(?<![\\w.-])${literal}(?![\\w-])`);
  const found: string[] = [];
  const look = (path: string, text: string): void => {
    for (const [index, line] of text.split("\n").entries()) {
      if (found.length >= MENTIONS) return;
      if (word.test(line)) found.push(`${path} line ${index + 1}: ${line.trim().slice(0, 120)}`);
    }
  };
  for (const { path, data } of files) {
    if (data.length > 1 << 20 || path.startsWith("priv/") || path.includes("/priv/")) continue;
    if (!data.includes(0)) look(path, Buffer.from(data).toString("latin1"));
  }
  for (const path of HOST_FILES) {
    try {
      look(path, readRegularFile(path).toString("latin1"));
    } catch {
      // The file does not exist.
    }
  }
  return found;
}
