/**
 * Changes that wait in the journal beside a database (config.db.changes): shown as the next start
 * of the server will apply them. Nothing is written.
 */
import { counted } from "../../base/counted.ts";
import { readJournal } from "../store/journal.ts";
import type { DecodedJournal } from "../store/journal-format.ts";
import { journalState, replayed } from "../store/replay.ts";
import { highestVersion, type Row, VERSION_NAME } from "../store/tree-rows.ts";
import { isPending, PENDING_NAME } from "../store/version-row.ts";

const NO_DATA = new Uint8Array(0);

/** From readJournal. */
type ReadJournal = ReturnType<typeof readJournal>;

/** The base of a journal; undefined when there is none. */
function baseOf(journal: ReadJournal): number | undefined {
  return typeof journal === "object" ? journal.base.version : undefined;
}

/** The rows with the name that row 0 has when no change waits. */
function unmarked(rows: readonly Row[]): readonly Row[] {
  return rows.map((row) => (isPending(row) ? { ...row, name: VERSION_NAME } : row));
}

interface Continued {
  readonly rows: readonly Row[];
  /** Changes that were applied. */
  readonly count: number;
  readonly note?: string;
}

const DAMAGED =
  "config.db.changes beside it is damaged: changes that were answered are in it, and only those " +
  "before the damage can be read";

/**
 * The rows with the journal's changes applied, or why they cannot be applied. A server may have
 * written the changes into the database while it was read: so the journal is read before and after
 * the rows. If either continues them, that one counts; if it was begun anew meanwhile, the rows
 * have every change that had been answered when the reading began.
 */
function continued(
  file: string,
  rows: readonly Row[],
  before: ReadJournal,
  isPartial: boolean,
): Continued | string {
  const version = highestVersion(rows);
  const after = readJournal(file);
  if (isPartial && typeof after === "object" && after.base.version === version) {
    // Rows are missing, so they cannot be those that the journal's fingerprint names.
    return after.records.length === 0 ? { rows, count: 0 } : applied(after, rows);
  }
  const state = journalState(after, rows, version);
  if (typeof state === "string") return state;
  const earlier = journalState(before, rows, version);
  for (const each of [state, earlier]) {
    if (typeof each === "object" && each.kind === "replay") return applied(each.journal, rows);
  }
  if (typeof after === "object" && after.isDamaged && state.kind === "empty") return DAMAGED;
  const settled = { rows: unmarked(rows), count: 0 };
  if (baseOf(before) !== baseOf(after)) return settled;
  if (state.kind === "foreign") {
    return { ...settled, note: `config.db.changes belongs to another state: ${state.why}` };
  }
  if (state.kind === "none" && rows.some(isPending)) {
    const note = "changes waited in config.db.changes, which is missing: they are lost";
    return { ...settled, note };
  }
  return settled;
}

function applied(journal: DecodedJournal, rows: readonly Row[]): Continued | string {
  const change = replayed(journal, rows, highestVersion(rows));
  if (typeof change === "string") return `config.db.changes cannot be replayed: ${change}`;
  const byInode = new Map(rows.map((row) => [row.inode, row]));
  for (const inode of change.deleted) byInode.delete(inode);
  for (const row of change.replaced) byInode.set(row.inode, { ...row, data: row.data ?? NO_DATA });
  // Marked: no copy may be made without the changes that cannot be read.
  const name = journal.isDamaged ? PENDING_NAME : VERSION_NAME;
  const fixed = { inode: 0, parent: 0, name, data: NO_DATA };
  byInode.set(0, { ...change.root, ...fixed });
  const sorted = [...byInode.values()].toSorted((a, b) => a.inode - b.inode);
  const note = journal.isDamaged ? { note: DAMAGED } : {};
  return { rows: sorted, count: journal.records.length, ...note };
}

/** Rows with the changes that wait beside their database. */
export interface WithChanges {
  readonly rows: readonly Row[];
  /** What was done, or why it could not be done; undefined when no change waits. */
  readonly note?: string;
}

/**
 * To be called before the rows of the database `file` are read; the returned function then applies
 * the changes of the journal beside it to them. Row 0 keeps its mark when changes wait that could
 * not be read or applied. `isPartial`: the rows are what was salvaged of a damaged database.
 */
export function pendingChanges(
  file: string,
): (rows: readonly Row[], isPartial?: boolean) => WithChanges {
  const before = readJournal(file);
  return (rows, isPartial = false) => {
    const found = continued(file, rows, before, isPartial);
    if (typeof found === "string") return { rows, note: found };
    if (found.count === 0 || found.note !== undefined) return found;
    if (isPartial) {
      const what = `${counted(found.count, "change")} in config.db.changes beside it`;
      return { rows: found.rows, note: `${what}, applied to what could be read` };
    }
    const note =
      `${counted(found.count, "change")} in config.db.changes beside it, shown as applied: ` +
      "pmxcfs-ipc applies them at its next start; the original pmxcfs refuses the " +
      "database until then, or until `pmxcfs-ipc config flush`";
    return { rows: found.rows, note };
  };
}
