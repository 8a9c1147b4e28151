/**
 * Changes that are in memory and wait to be stored together, as one transaction: those that a
 * cluster's node gets in one turn of the event loop.
 */
import type { Errno } from "../../base/errno.ts";
import { keptCommand } from "../state/tree-command.ts";
import type { JournalRecord } from "./journal-format.ts";
import { LastRows } from "./last-rows.ts";
import { pagesOf } from "./page-count.ts";
import type { RowChange } from "./row-writer.ts";

/** A change, and the command that made it. */
export interface RecordedChange {
  readonly change: RowChange;
  readonly record: JournalRecord;
}

export class GatheredChanges {
  readonly #changes: RecordedChange[] = [];
  #pages = 0;

  get length(): number {
    return this.#changes.length;
  }

  /** Roughly the pages that they write. */
  get pages(): number {
    return this.#pages;
  }

  /** Keeps a copy of the command. */
  add({ change, record }: RecordedChange): void {
    const { command, origin } = record;
    this.#changes.push({ change, record: { command: keptCommand(command), origin } });
    this.#pages += pagesOf(change);
  }

  /** All of them as one change; undefined when there is none. */
  merged(): RowChange | undefined {
    const last = this.#changes.at(-1)?.change;
    if (last === undefined || this.#changes.length === 1) return last;
    const rows = new LastRows();
    for (const { change } of this.#changes) rows.add(change);
    return rows.change(last.root);
  }

  /** Passes each to `store`, in order, until that fails, and drops those that it has stored. */
  each(store: (recorded: RecordedChange) => 0 | Errno): 0 | Errno {
    let stored = 0;
    let failure: 0 | Errno = 0;
    for (const recorded of this.#changes) {
      failure = store(recorded);
      if (failure !== 0) break;
      stored++;
    }
    this.#changes.splice(0, stored);
    return failure;
  }

  clear(): void {
    this.#changes.length = 0;
    this.#pages = 0;
  }
}
