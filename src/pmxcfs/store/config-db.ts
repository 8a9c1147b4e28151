/**
 * A config.db that another program writes, as the source of the tree: loaded as a whole by the C
 * server's rules, then followed row by row. Never written. A change after which the rows are no
 * valid tree is not applied: the last state is still served, and that is logged and counted. Long
 * changes are applied in slices. C counterpart: database.c.
 */
import { counted } from "../../base/counted.ts";
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

/** A file that could not be read is read again after this; doubled each time, up to the last. */
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5_000;
/** Remarks that one log line shows. */
const SHOWN_REMARKS = 4;

/** Larger files are left out, and logged: no reply could carry them. */
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
  /** The last update was not applied: at the next one all rows are compared. */
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

  /** Fills the tree; or a text that says why the file is refused, with the tree unchanged. */
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
          "pmxcfs-ipc config flush, unless a server is running",
      );
    }
    if (reader.isWalAlone) {
      options.log.warn(
        `${options.file}: it is empty, and the content of its -wal is served: pmxcfs must not be ` +
          "started, since it would delete the -wal and show an empty /etc/pve",
      );
    }
    const opened = new ConfigDb(options, reader, judged);
    opened.reloads.loaded(startedMs);
    return opened;
  }

  /** Applies what others committed since the last call, or a slice of it. */
  refresh(): void {
    if (this.#work.busy) return this.#work.work();
    try {
      const now = performance.now();
      const look = this.#reader.look();
      if (look === "missing") {
        return this.#complain("it is gone; the last state is still served");
      }
      // A failed update is tried again at the next change, or after a pause.
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
      return this.#fail(`change not applied: ${found}`);
    }
    this.#behind = false;
    this.#failures = 0;
    this.#retryAt = Infinity;
    this.#complaints.clear();
    yield* this.#changes.apply(found);
    if (!this.#changes.isComplete) {
      // A directory has replaced one that moved, and the content of that was removed: adds it.
      yield* this.#changes.apply(yield* this.#compareAll());
    }
    const { changed, gone } = found;
    if (changed.length + gone.length > 0 || update.replaced) {
      this.reloads.done("database", startedMs);
    } else this.reloads.settled();
    if (!update.replaced) return undefined;
    return this.#log.warn(
      `${this.#reader.path}: another file is in its place: ` +
        `${counted(changed.length, "entry")} new or changed, ${gone.length} gone`,
    );
  }

  /** What changes in the tree; a text when the rows are no valid tree. */
  *#differenceOf(update: TableUpdate): Generator<undefined, Difference | string> {
    if (!this.#reader.hasTable && this.#changes.entryCount > 0) return "no such table: tree";
    if (!this.#behind) {
      const difference = yield* this.#changes.known(update);
      if (yield* isPlain(this.#changes, difference)) return difference;
    }
    const judged = yield* judging(this.#reader.rows());
    // Two configurations with one number are served; the guest list shows one (state/guests.ts).
    const refusals = judged.refusals.filter(({ kind }) => kind !== "duplicate-vmid");
    const refusal = servedRefusal({ ...judged, refusals });
    if (refusal !== undefined) return refusal.text;
    this.#remark(judged);
    return yield* differenceOf(this.#changes, judged);
  }

  *#compareAll(): Generator<undefined, Difference> {
    return yield* differenceOf(this.#changes, yield* judging(this.#reader.rows()));
  }

  /** Logs what the C server loads and no path leads to: one line, until it changes. */
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
    this.#complain(`${why}; the last state is still served`);
  }

  #complain(line: string): void {
    const since = new Date(this.reloads.stateOf).toISOString();
    this.#complaints.say(`${line} (of ${since})`);
  }
}
