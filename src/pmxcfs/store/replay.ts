/**
 * The changes that a journal adds to the rows of its database: replayed at the start of a server,
 * by `config flush`, and by commands that read a database whose server has ended.
 */
import { silentLog } from "../../base/log.ts";
import { Memdb } from "../state/memdb.ts";
import type { DecodedJournal, JournalRecord } from "./journal-format.ts";
import { RowFingerprint } from "./row-fingerprint.ts";
import { MemoryRows } from "./memory-rows.ts";
import type { RowChange, RowImage } from "./row-writer.ts";
import { loadedEntries, RowType, type Row } from "./tree-rows.ts";
import { divided, judgeRows } from "./tree-rules.ts";
import { TreeStore } from "./tree-store.ts";

/**
 * How a journal relates to the database beside it. `none`: there is no journal; `empty`: there is
 * one, and no change waits in it; `replay`: its changes continue the database; `done`: the database
 * has them already; `foreign`: it continues another state, and `why` says which.
 */
export type JournalState =
  | { readonly kind: "none" | "empty" | "done" }
  | { readonly kind: "replay"; readonly journal: DecodedJournal }
  | { readonly kind: "foreign"; readonly journal: DecodedJournal; readonly why: string };

/**
 * Compares them; a text when the journal could not be read. `journal`: from readJournal; `version`:
 * of the tree in `rows`.
 */
export function journalState(
  journal: DecodedJournal | string | undefined,
  rows: readonly RowImage[],
  version: number,
): JournalState | string {
  if (typeof journal === "string") return `config.db.changes cannot be read: ${journal}`;
  if (journal === undefined) return { kind: "none" };
  if (journal.records.length === 0) return { kind: "empty" };
  const { base, records } = journal;
  if (version === base.version) {
    const isSame = new RowFingerprint(rows).value().equals(base.fingerprint);
    if (isSame) return { kind: "replay", journal };
    const why = `the entries of version ${version} were changed by another program`;
    return { kind: "foreign", journal, why };
  }
  if (version === base.version + records.length && isLast(records.at(-1), rows)) {
    return { kind: "done" };
  }
  const why = `it continues version ${base.version}, and the database has version ${version}`;
  return { kind: "foreign", journal, why };
}

/** Whether row 0 has writer and time of this change: another server may have made as many. */
function isLast(record: JournalRecord | undefined, rows: readonly RowImage[]): boolean {
  const root = rows.find(({ inode }) => inode === 0);
  if (record === undefined || root === undefined) return false;
  const { command, origin } = record;
  const mtime = command.kind === "utime" ? command.mtime : origin.time;
  return root.mtime === mtime && root.writer === origin.writer;
}

/** Collects the last state of each changed row. */
class ChangedRows extends MemoryRows {
  readonly changed = new Map<number, RowImage | undefined>();

  override commit(change: RowChange): 0 {
    for (const inode of change.deleted) this.changed.set(inode, undefined);
    for (const row of change.replaced) this.changed.set(row.inode, row);
    this.root = change.root;
    return 0;
  }
}

/** The journal's changes as one change of the rows; a text when one of them cannot be applied. */
export function replayed(
  { records }: DecodedJournal,
  rows: readonly Row[],
  version: number,
): RowChange | string {
  const memdb = new Memdb();
  const root = rows.find(({ inode }) => inode === 0);
  const stamp = { version, writer: root?.writer ?? 0, mtime: root?.mtime ?? 0 };
  const { reached, leftOut } = divided(rows, judgeRows(rows));
  const entries = memdb.reload(stamp, loadedEntries(reached), new Map());
  const writer = new ChangedRows();
  writer.root = { ...stamp, type: root?.type ?? RowType.FILE };
  const store = new TreeStore({ memdb, entries, leftOut, writer, log: silentLog });
  for (const { command, origin } of records) {
    const outcome = store.apply(command, origin);
    if (outcome < 0) return `${command.kind} of '${command.path}' fails with ${outcome}`;
  }
  const deleted: number[] = [];
  const replaced: RowImage[] = [];
  for (const [inode, row] of writer.changed) {
    if (row === undefined) deleted.push(inode);
    else replaced.push(row);
  }
  return { deleted, replaced, root: writer.root };
}
