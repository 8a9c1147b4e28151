/**
 * Changes that wait in the journal beside a database (config.db.changes): shown as the next start
 * of the server will apply them. Nothing is written.
 */
import { counted } from "../../base/counted.ts";
import { journalState, replayed } from "../store/replay.ts";
import { highestVersion, type Row, VERSION_NAME } from "../store/tree-rows.ts";
import { isPending } from "../store/version-row.ts";

const NO_DATA = new Uint8Array(0);

/** The rows with the journal's changes applied, or why they cannot be applied. */
function continued(file: string, rows: readonly Row[]): { rows: Row[]; count: number } | string {
  const root = rows.find(({ inode }) => inode === 0);
  const version = highestVersion(rows);
  const state = journalState(file, rows, version);
  if (typeof state === "string") return state;
  if (state.kind === "foreign") return `config.db.changes belongs to another state: ${state.why}`;
  if (state.kind === "none" && isPending(root)) {
    return "changes waited in config.db.changes, which is missing: they are lost";
  }
  if (state.kind !== "replay") return { rows: [...rows], count: 0 };
  const change = replayed(state.journal, rows, version);
  if (typeof change === "string") return `config.db.changes cannot be replayed: ${change}`;
  const byInode = new Map(rows.map((row) => [row.inode, row]));
  for (const inode of change.deleted) byInode.delete(inode);
  for (const row of change.replaced) byInode.set(row.inode, { ...row, data: row.data ?? NO_DATA });
  const fixed = { inode: 0, parent: 0, name: VERSION_NAME, data: NO_DATA };
  byInode.set(0, { ...change.root, ...fixed });
  const sorted = [...byInode.values()].toSorted((a, b) => a.inode - b.inode);
  return { rows: sorted, count: state.journal.records.length };
}

/**
 * `rows` of the database `file` with the changes of the journal beside it; `note` says what was
 * done, or why it could not be done. Without such changes there is no note.
 */
export function afterPendingChanges(
  file: string,
  rows: readonly Row[],
): { readonly rows: readonly Row[]; readonly note?: string } {
  const found = continued(file, rows);
  if (typeof found === "string") return { rows, note: found };
  if (found.count === 0) return { rows };
  const note =
    `${counted(found.count, "change")} in config.db.changes beside it, shown as applied: ` +
    "pmxcfs-ipc applies them at its next start; the original pmxcfs refuses the " +
    "database until then, or until `pmxcfs-ipc config flush`";
  return { rows: found.rows, note };
}
