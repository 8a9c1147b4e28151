/**
 * Opens the node's own config.db for writing: creates it, or loads it by the C server's rules,
 * replays a journal beside it, and builds the tree. C counterpart: memdb.c, memdb_open; database.c,
 * bdb_backend_open.
 */
import { counted } from "../../base/counted.ts";
import { errorText } from "../../base/error-text.ts";
import type { Log } from "../../base/log.ts";
import { unixSeconds } from "../../platform/clock.ts";
import { type Entry, Memdb, type Stamp } from "../state/memdb.ts";
import { BatchingWriter, type BatchingOptions } from "./batching-writer.ts";
import { ConfigDbWriter, type ConfigDbWriterOptions } from "./config-db-writer.ts";
import { undoReplacement } from "./interrupted-replacement.ts";
import { readJournal, removeJournal, setJournalAside } from "./journal.ts";
import type { DecodedJournal } from "./journal-format.ts";
import { keepLoneWal } from "./lone-wal.ts";
import { journalState, replayed } from "./replay.ts";
import { rowsOf, type RowWriter } from "./row-writer.ts";
import { keepReplaced } from "./served-names.ts";
import { divided, judgeRows, servedRefusal } from "./tree-rules.ts";
import { highestVersion, loadedEntries, RowType, tooWide, type Row } from "./tree-rows.ts";
import { TreeStore } from "./tree-store.ts";
import { isPending } from "./version-row.ts";

/** When a change goes into config.db: at once, as in C, or with others (batching-writer.ts). */
export type CommitMode = "each" | "batched";

/** `file`: /var/lib/pve-cluster/config.db on a node; made when it is missing. */
export interface OpenTreeOptions extends ConfigDbWriterOptions {
  /** `each` unless given. */
  readonly commit?: CommitMode;
  /** Replaces limits of BatchLimits. */
  readonly batches?: BatchingOptions["limits"];
  /** Seconds of a clock that never goes back, for the lock timers. */
  readonly now?: () => number;
}

interface Loaded {
  readonly memdb: Memdb;
  readonly entries: ReadonlyMap<number, Entry>;
  /** Rows that no path leads to. */
  readonly leftOut: readonly Row[];
  readonly rows: readonly Row[];
  readonly root: Stamp;
}

/** The tree in `file`, ready to be changed; or one line that says why it is refused. */
export function openTree(options: OpenTreeOptions): TreeStore | string {
  const { log, now } = options;
  let replaced: string | undefined;
  try {
    undoReplacement(options.file, log);
    replaced = keepReplaced(options.file, log);
    keepLoneWal(options.file, log);
  } catch (error) {
    return errorText(error);
  }
  const database = ConfigDbWriter.open(options);
  if (typeof database === "string") return database;
  const loaded = loadWithJournal(options.file, database, log, replaced);
  if (typeof loaded === "string") {
    database[Symbol.dispose]();
    return loaded;
  }
  database.compactIfWorth();
  const { memdb, entries, leftOut } = loaded;
  const writer = writerOf(options, database, loaded);
  const clock = now === undefined ? {} : { now };
  const tree = new TreeStore({ memdb, entries, leftOut, writer, log, ...clock });
  database.served = () => rowsOf(memdb.root, tree.entries());
  return tree;
}

function writerOf(options: OpenTreeOptions, database: ConfigDbWriter, loaded: Loaded): RowWriter {
  const batched = options.commit === "batched";
  const { rows, root } = loaded;
  return new BatchingWriter({
    database,
    rows,
    root: { ...root, type: RowType.FILE },
    batched,
    durable: options.sync === "full",
    log: options.log,
    ...(options.batches === undefined ? {} : { limits: options.batches }),
  });
}

/**
 * Loads the rows; writes the changes in a journal into the database first. `replaced`: the database
 * that the last server wrote, if that is another one.
 */
function loadWithJournal(
  file: string,
  database: ConfigDbWriter,
  log: Log,
  replaced: string | undefined,
): Loaded | string {
  const loaded = load(database, log);
  if (typeof loaded === "string") return loaded;
  const { rows, root } = loaded;
  const marked = isPending(rows.find(({ inode }) => inode === 0));
  const journal = readJournal(file);
  const state = journalState(journal, rows, root.version);
  if (typeof state === "string") return state;
  if (state.kind === "replay") {
    const change = replayed(state.journal, rows, root.version);
    if (typeof change === "string") return `config.db.changes cannot be replayed: ${change}`;
    // The journal may be on the disk since long: its changes are not the last ones, which a power
    // cut may lose.
    const outcome = database.commitAtStart(change);
    if (outcome !== 0) return "the changes in config.db.changes cannot be written";
    leaveJournal(file, journal, log);
    const taken = counted(state.journal.records.length, "change");
    log.info(`${file}: ${taken} replayed from config.db.changes`);
    return load(database, log);
  }
  if (state.kind === "foreign") {
    const aside = setJournalAside(file, replaced);
    const paths = new Set(state.journal.records.map(({ command }) => command.path));
    const changes = counted(state.journal.records.length, "change");
    log.error(
      `${file}: config.db.changes does not belong to this database (${state.why}): its ` +
        `${changes}, to ${[...paths].slice(0, 10).join(", ")}, are kept in ${aside}`,
    );
  } else if (state.kind === "none" && marked) {
    log.error(
      `${file}: changes after version ${root.version} waited in config.db.changes, which is ` +
        "missing: they are lost",
    );
  } else if (state.kind === "empty" && marked && !isDamaged(journal)) {
    log.warn(
      `${file}: no change waits in config.db.changes; if the machine lost power, changes after ` +
        `version ${root.version} are lost`,
    );
  }
  if (marked) {
    // Before the journal goes: a crash in between must not look like lost changes.
    const settledRoot = { ...root, type: RowType.FILE };
    const outcome = database.commitAtStart({ deleted: [], replaced: [], root: settledRoot });
    if (outcome !== 0) return "row 0 could not be written";
  }
  if (state.kind !== "foreign") leaveJournal(file, journal, log);
  return loaded;
}

type ReadJournal = ReturnType<typeof readJournal>;

function isDamaged(journal: ReadJournal): journal is DecodedJournal {
  return typeof journal === "object" && journal.isDamaged;
}

/** The database has every change of the journal that can be read: removes it, or keeps the rest. */
function leaveJournal(file: string, journal: ReadJournal, log: Log): void {
  if (!isDamaged(journal)) return removeJournal(file);
  const aside = setJournalAside(file);
  log.error(
    `${file}: config.db.changes is damaged after its first ${journal.records.length} changes: ` +
      `later ones are lost; it is kept as ${aside}`,
  );
  return undefined;
}

function load(database: ConfigDbWriter, log: Log): Loaded | string {
  let rows: Row[];
  try {
    rows = database.read();
  } catch (error) {
    return `select returned error: ${errorText(error)}`;
  }
  const judged = judgeRows(rows);
  const refusal = servedRefusal(judged);
  if (refusal !== undefined) return refusal.text;
  const wide = tooWide(rows);
  if (wide !== undefined) return wide;
  for (const { text, row } of [...judged.refusals, ...judged.remarks]) {
    log.warn(`${database.file}: ${row.name}: ${text}`);
  }
  const root = rootOf(rows, database, log);
  if (typeof root === "string") return root;
  const memdb = new Memdb();
  const { reached, leftOut } = divided(rows, judged);
  const entries = memdb.reload(root, loadedEntries(reached), new Map());
  return { memdb, entries, leftOut, rows, root };
}

/** Version, writer and mtime of the tree; row 0 is written when there is none (as C does). */
function rootOf(rows: readonly Row[], database: ConfigDbWriter, log: Log): Stamp | string {
  const row = rows.find(({ inode }) => inode === 0);
  const version = highestVersion(rows);
  const fresh = row === undefined || row.version === 0;
  if (!fresh && row.version < version) {
    log.warn(
      `${database.file}: row 0 has version ${row.version}, but ${version} is in use: continuing ` +
        `from there, so that no entry is overwritten`,
    );
  }
  const now = unixSeconds();
  const root = { version, writer: row?.writer ?? 0, mtime: fresh ? now : row.mtime };
  if (!fresh) return root;
  const change = { deleted: [], replaced: [], root: { ...root, type: RowType.FILE } };
  return database.commitAtStart(change) === 0 ? root : "row 0 could not be written";
}
