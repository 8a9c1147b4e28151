/**
 * A config.db that others write, as the source of the tree: loaded whole by the rules by which the
 * C server loads, then followed row by row. Never written. A change that would leave no tree is
 * not taken over: what was served stays, and that is logged and counted. Long changes are taken
 * over in slices while the old tree answers. C counterpart: database.c.
 */
import { CfsLimits } from "../../base/limits.ts";
import type { Log } from "../../base/log.ts";
import { LogOnce } from "../../base/log-once.ts";
import { errorText } from "../../base/error-text.ts";
import { drained } from "../../base/steps.ts";
import type { Memdb } from "../state/memdb.ts";
import { Reloads } from "./reloads.ts";
import { SlicedWork } from "./sliced-work.ts";
import { DatabaseReader, type TableUpdate } from "./sqlite/database-reader.ts";
import { type Difference, differenceOf, isPlain, TreeChanges } from "./tree-changes.ts";
import { isPending } from "./version-row.ts";
import { judging, plant, servedRefusal, type JudgedRows } from "./tree-rules.ts";

/** A file that could not be read is looked at again after this, doubled each time up to ... */
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5_000;
/** Remarks that one log line shows. */
const SHOWN_REMARKS = 4;

/** No reply can carry more than a message: larger files are left out, and that is said. */
const LIMITS = {
  dataBytes: CfsLimits.loadedFileBytes,
  rows: CfsLimits.loadedRows,
  totalBytes: CfsLimits.loadedBytes,
};

export interface ConfigDbOptions {
  readonly file: string;
  /** Empty. */
  readonly memdb: Memdb;
  readonly log: Log;
}

export class ConfigDb implements Disposable {
  readonly #log: Log;
  readonly #reader: DatabaseReader;
  readonly #changes: TreeChanges;
  readonly #work: SlicedWork;
  readonly #complaints: LogOnce;
  readonly reloads: Reloads;
  /** The last update was not taken over: the next one is compared as a whole. */
  #behind = false;
  #failures = 0;
  #retryAt = Infinity;
  #lastRemarks = "";

  private constructor(options: ConfigDbOptions, reader: DatabaseReader, judged: JudgedRows) {
    this.#log = options.log;
    this.#reader = reader;
    this.#complaints = new LogOnce((line) => options.log.warn(`${reader.path}: ${line}`));
    this.#changes = new TreeChanges(options.memdb, plant(options.memdb, judged));
    this.#work = new SlicedWork((error) => this.#fail(`cannot be read (${errorText(error)})`));
    this.reloads = new Reloads(performance.now(), ["database"]);
    this.#remark(judged);
  }

  /** Fills the tree; a text that says why when the file is refused, and the tree is as it was. */
  static open(options: ConfigDbOptions): ConfigDb | string {
    const startedMs = performance.now();
    const reader = DatabaseReader.open(options.file, LIMITS);
    if (typeof reader === "string") return reader;
    const update = drained(reader.update());
    const judged = typeof update === "string" ? update : drained(judging(reader.rows()));
    const refusal = typeof judged === "string" ? judged : servedRefusal(judged)?.text;
    if (typeof judged === "string" || refusal !== undefined) {
      reader[Symbol.dispose]();
      return refusal ?? "not loaded";
    }
    if (!reader.hasTable) {
      options.log.warn(
        `${options.file}: it is empty: pmxcfs would start with it and show an empty /etc/pve`,
      );
    }
    if (isPending(judged.rootRow)) {
      options.log.warn(
        `${options.file}: changes wait in config.db.changes beside it and are not shown: run ` +
          "pmxcfs-ipc config flush, unless a server is at work",
      );
    }
    if (reader.isWalAlone) {
      options.log.warn(
        `${options.file}: it is empty, what its -wal holds is served: pmxcfs must not be ` +
          "started, it would delete the -wal and show an empty /etc/pve",
      );
    }
    const opened = new ConfigDb(options, reader, judged);
    opened.reloads.loaded(startedMs);
    return opened;
  }

  /** Takes over what others committed since the last call, or a slice of it. */
  refresh(): void {
    if (this.#work.busy) return this.#work.work();
    try {
      const now = performance.now();
      const look = this.#reader.look();
      if (look === "missing") {
        return this.#complain("it is gone; the state before is served on");
      }
      // What failed is tried again at the next change, and without one after a while.
      if (look === "unchanged" && now < this.#retryAt) return undefined;
      this.reloads.began(now);
      return this.#work.start(this.#follow(now));
    } catch (error) {
      return this.#fail(`cannot be read (${errorText(error)})`);
    }
  }

  [Symbol.dispose](): void {
    this.#work[Symbol.dispose]();
    this.#reader[Symbol.dispose]();
  }

  *#follow(startedMs: number): Generator<undefined, void> {
    const update = yield* this.#reader.update();
    if (typeof update === "string") {
      this.#behind = true;
      return this.#fail(`cannot be read (${update})`);
    }
    const found = yield* this.#differenceOf(update);
    if (typeof found === "string") {
      this.#behind = true;
      return this.#fail(`change not taken over: ${found}`);
    }
    this.#behind = false;
    this.#failures = 0;
    this.#retryAt = Infinity;
    this.#complaints.clear();
    yield* this.#changes.apply(found);
    if (!this.#changes.isComplete) {
      // A directory that took another one's place while that one moved: what was below comes back.
      yield* this.#changes.apply(yield* this.#compareAll());
    }
    const { changed, gone } = found;
    if (changed.length + gone.length > 0 || update.replaced) {
      this.reloads.done("database", startedMs);
    } else this.reloads.settled();
    if (!update.replaced) return undefined;
    return this.#log.warn(
      `${this.#reader.path}: another file is in its place: ` +
        `${changed.length} entries new or changed, ${gone.length} gone`,
    );
  }

  /** What of the tree changes; a text when the rows make none. */
  *#differenceOf(update: TableUpdate): Generator<undefined, Difference | string> {
    if (!this.#reader.hasTable && this.#changes.entryCount > 0) return "no such table: tree";
    if (!this.#behind) {
      const difference = yield* this.#changes.known(update);
      if (yield* isPlain(this.#changes, difference)) return difference;
    }
    const judged = yield* judging(this.#reader.rows());
    // Of two configurations with one number the guest list shows one (state/guests.ts).
    const refusals = judged.refusals.filter(({ kind }) => kind !== "duplicate-vmid");
    const refusal = servedRefusal({ ...judged, refusals });
    if (refusal !== undefined) return refusal.text;
    this.#remark(judged);
    return yield* differenceOf(this.#changes, judged);
  }

  *#compareAll(): Generator<undefined, Difference> {
    return yield* differenceOf(this.#changes, yield* judging(this.#reader.rows()));
  }

  /** What is loaded although it is odd: one line, until it changes. */
  #remark({ remarks }: JudgedRows): void {
    const shown = remarks.slice(0, SHOWN_REMARKS).map(({ text, row }) => `${row.name}: ${text}`);
    const more = remarks.length - shown.length;
    const line = shown.join("; ") + (more > 0 ? ` and ${more} more` : "");
    if (line !== "" && line !== this.#lastRemarks) {
      this.#log.warn(`${this.#reader.path}: not served: ${line}`);
    }
    this.#lastRemarks = line;
  }

  #fail(why: string): void {
    this.reloads.failed();
    this.#failures++;
    const wait = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(this.#failures - 1, 10));
    this.#retryAt = performance.now() + wait;
    this.#complain(`${why}; the state before is served on`);
  }

  #complain(line: string): void {
    const since = new Date(this.reloads.stateOf).toISOString();
    this.#complaints.say(`${line} (of ${since})`);
  }
}
