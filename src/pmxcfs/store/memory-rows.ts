/** A RowWriter without a database: rows in a map, for replays, tests and the cluster simulator. */
import type { Errno } from "../../base/errno.ts";
import type { Steps } from "../../base/steps.ts";
import { GatheredChanges } from "./gathered-changes.ts";
import type { JournalRecord } from "./journal-format.ts";
import type { RootRow, RowChange, RowImage, RowWriter } from "./row-writer.ts";
import type { KeptCopy } from "./upkeep.ts";

export class MemoryRows implements RowWriter {
  readonly rows = new Map<number, RowImage>();
  readonly figures = undefined;
  root: RootRow = { version: 1, writer: 0, mtime: 0, type: 8 };
  /** Unless 0, commits return this and write nothing. */
  failure: 0 | Errno = 0;
  isEmptying = false;
  readonly #gathered = new GatheredChanges();
  #gathers = false;

  gather(): void {
    this.#gathers = true;
  }

  store(): 0 | Errno {
    this.#gathers = false;
    const change = this.#gathered.merged();
    const failure = change === undefined ? 0 : this.#write(change);
    if (failure === 0) this.#gathered.clear();
    return failure;
  }

  commit(change: RowChange, record?: JournalRecord): 0 | Errno {
    if (this.#gathers && record !== undefined) {
      this.#gathered.add({ change, record });
      return 0;
    }
    return this.store() || this.#write(change);
  }

  #write({ deleted, replaced, root }: RowChange): 0 | Errno {
    if (this.failure !== 0) return this.failure;
    for (const inode of deleted) this.rows.delete(inode);
    for (const row of replaced) this.rows.set(row.inode, row);
    this.root = root;
    return 0;
  }

  *commitInSteps(change: RowChange, committed: () => void): Steps<0 | Errno> {
    yield undefined;
    const outcome = this.commit(change);
    if (outcome === 0) committed();
    return outcome;
  }

  *settle(): Steps {}

  flush(): 0 | Errno {
    return this.store();
  }

  journalWhenLocked(): void {
    // Memory is never locked.
  }

  // oxlint-disable-next-line require-yield -- there is nothing to copy
  *keepCopy(): Steps<KeptCopy> {
    return { problem: "rows in memory have no file" };
  }

  [Symbol.dispose](): void {
    this.rows.clear();
  }
}
