/**
 * The thread that writes one long transaction (long-transaction.ts). COMMIT alone can take longer
 * than the event loop may be blocked, since SQLite computes the WAL's checksums again from the
 * first page that it wrote twice. Has a connection of its own, and ends after one transaction.
 */
import type { Database } from "bun:sqlite";
import { errorText } from "../../base/error-text.ts";
import { isBusy, RowStatements } from "./row-statements.ts";
import { openInThread } from "./thread-database.ts";
import { TransactionState, type TransactionPart } from "./transaction-state.ts";

/** Limit of the wait for another process's write lock. */
const LOCK_WAIT_MS = 1_000;
/** Part of it in which SQLite waits: an abandoned transaction ends within that. */
const BUSY_TIMEOUT_MS = 5;

/** The global scope of the thread. */
interface Thread {
  onmessage: ((event: { readonly data: TransactionPart }) => void) | null;
}

interface Open {
  readonly database: Database;
  readonly statements: RowStatements;
  readonly state: TransactionState;
}

let open: Open | undefined;

function begin({ shared, ...part }: Extract<TransactionPart, { kind: "begin" }>): void {
  const state = new TransactionState(shared);
  try {
    const database = openInThread(part);
    try {
      database.run(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
      database.run(`PRAGMA synchronous = ${part.sync.toUpperCase()}`);
      database.run("PRAGMA wal_autocheckpoint = 0");
      beginImmediate(database, state);
      open = { database, statements: new RowStatements(database), state };
    } catch (error) {
      database.close();
      throw error;
    }
  } catch (error) {
    fail(state, error);
  }
}

/** Throws SQLITE_BUSY when the lock is not free in time, or "given up". */
function beginImmediate(database: Database, state: TransactionState): void {
  const until = performance.now() + LOCK_WAIT_MS;
  for (;;) {
    if (state.isGivenUp) throw new Error("given up");
    try {
      database.run("BEGIN IMMEDIATE");
      return;
    } catch (error) {
      if (!isBusy(error) || performance.now() >= until) throw error;
    }
  }
}

function fail(state: TransactionState, error: unknown): void {
  close();
  state.end(isBusy(error) ? "busy" : "failed", errorText(error));
}

/** Closes the connection, which rolls back an open transaction. */
function close(): void {
  open?.statements[Symbol.dispose]();
  open?.database.close();
  open = undefined;
}

function take({ database, statements, state }: Open, part: TransactionPart): void {
  if (part.kind === "rows" && !state.isGivenUp) {
    for (const inode of part.deleted) statements.remove(inode);
    let at = 0;
    for (const { length, ...row } of part.rows) {
      const data = length === undefined ? null : part.data.subarray(at, at + length);
      statements.replace({ ...row, data });
      at += length ?? 0;
    }
  } else if (part.kind === "end") {
    if (state.isGivenUp) throw new Error("given up");
    database.run("COMMIT");
    close();
    state.end("committed", "");
  }
}

(globalThis as unknown as Thread).onmessage = ({ data: part }) => {
  if (part.kind === "begin") return begin(part);
  // Messages after a failure are ignored.
  if (open === undefined) return undefined;
  const { state } = open;
  try {
    return take(open, part);
  } catch (error) {
    return fail(state, error);
  }
};
