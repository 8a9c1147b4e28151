/**
 * Turns the changes of a Memdb into history, on the serving thread: an object per change, no I/O.
 * Consecutive changes of one entry within one batch are joined, so that PVE's way to write
 * (temporary file, write, rename) is one change of the target, and a file written in pieces is one
 * change with its last content. Bounded: beyond its limits first contents, then changes are dropped
 * and counted, because a history must never delay a write.
 */
import { inParts, type Steps } from "../../base/steps.ts";
import type { ComingTree } from "../state/coming-tree.ts";
import { isBelowLocks } from "../state/locks.ts";
import { pathOf, type Change, type Entry, type Memdb, type Stamp } from "../state/memdb.ts";
import type { Author, ChangeCause, ChangeKind, HistoryChange } from "./change.ts";
import { placeOf } from "./change.ts";

export interface CollectorLimits {
  /** Changes that wait to be written. */
  readonly changes: number;
  /** Bytes of their contents. */
  readonly bytes: number;
}

const COLLECTOR_LIMITS: CollectorLimits = { changes: 50_000, bytes: 64 * 1024 * 1024 };

export interface CollectorOptions {
  readonly memdb: Memdb;
  readonly isPrivate: (path: string) => boolean;
  /** Keep contents of private files too. */
  readonly keepPrivate: boolean;
  /** Called when a change waits and none did before. */
  readonly pending: () => void;
  readonly limits?: CollectorLimits;
  /** Ms since 1970. */
  readonly now?: () => number;
}

/** Entries compared in one step. */
const ENTRIES_PER_STEP = 64;

type Pending = { -readonly [K in keyof HistoryChange]: HistoryChange[K] };

/** The previous state of the tree, as far as needed to find what a sync changed. */
interface Known extends Stamp {
  readonly type: "file" | "directory";
}

/** A pending change and its number in the order of changes. */
interface Slot {
  readonly order: number;
  readonly change: Pending;
}

interface Removal {
  readonly entry: Entry;
  readonly path: string;
  /** Its slot, and that of the previous change of the path. */
  readonly slot: Slot | undefined;
  readonly before: Slot | undefined;
}

const JOINED: ReadonlySet<ChangeKind> = new Set(["create", "write", "replace"]);

export class HistoryCollector {
  readonly #options: CollectorOptions;
  readonly #limits: CollectorLimits;
  readonly #now: () => number;
  readonly #known = new Map<string, Known>();
  readonly #unsubscribe: () => void;
  /** Pending changes, in their order. */
  readonly #pending = new Set<Slot>();
  #lastOrder = 0;
  #lastMs = 0;
  #bytes = 0;
  /** The newest pending change of each path. */
  readonly #newest = new Map<string, Slot>();
  #author: Author | undefined;
  /** Authors whose changes wait for the cluster, by path, in the order of their requests. */
  readonly #expected = new Map<string, readonly Author[]>();
  /** A `removed` that may turn out to be the first half of a rename. */
  #removal: Removal | undefined;
  /** Changes dropped because too many waited. */
  lostChanges = 0;
  /** Contents dropped because too many bytes waited. */
  lostContents = 0;

  constructor(options: CollectorOptions) {
    this.#options = options;
    this.#limits = options.limits ?? COLLECTOR_LIMITS;
    this.#now = options.now ?? Date.now;
    for (const entry of options.memdb.entries()) this.#know(pathOf(entry), entry);
    const ends = [
      options.memdb.subscribe((change) => this.#changed(change)),
      options.memdb.prepareWith((coming) => this.#prepare(coming)),
    ];
    this.#unsubscribe = () => {
      for (const end of ends) end();
    };
  }

  /** Changes that wait. */
  get waiting(): number {
    return this.#pending.size;
  }

  /**
   * Runs `change`, which requests a change of `paths`: what changes in the tree before it returns
   * is attributed to `author`; where it returns a promise (a cluster), so is what changes at that
   * path until the promise is settled.
   */
  by<T>(author: Author | undefined, paths: readonly string[], change: () => T): T {
    this.#author = author;
    try {
      const result = change();
      if (author !== undefined && result instanceof Promise) {
        for (const path of paths) this.#expect(author, path, result);
      }
      return result;
    } finally {
      this.#author = undefined;
    }
  }

  #expect(author: Author, path: string, result: Promise<unknown>): void {
    const waiting = this.#expected.get(path) ?? [];
    this.#expected.set(path, [...waiting, author]);
    const over = (): void => {
      const left = (this.#expected.get(path) ?? []).filter((each) => each !== author);
      if (left.length === 0) this.#expected.delete(path);
      else this.#expected.set(path, left);
    };
    result.then(over, over);
  }

  /** The process that requested the change of `path` just applied, if it runs on this node. */
  #authorOf(path: string): Author | undefined {
    return this.#author ?? this.#expected.get(path)?.[0];
  }

  /** Adds a change that was found at the start. */
  found(path: string, entry: Entry): void {
    this.#push(entry.kind === "file" ? "create" : "mkdir", path, entry, { cause: "start" });
  }

  /** Adds the removal of an entry that the history has and the tree does not have. */
  gone(path: string, type: "file" | "directory"): void {
    this.#removed(path, type, "start", this.#options.memdb.root.version);
  }

  /** Waiting changes, in their order. */
  *pending(): Generator<HistoryChange> {
    for (const { change } of this.#pending) yield change;
  }

  /** When the newest waiting change was made, ms since 1970; undefined when none waits. */
  get newestMs(): number | undefined {
    return this.#pending.size === 0 ? undefined : this.#lastMs;
  }

  /** Removes and returns up to `most` changes, oldest first, with about `bytes` of contents. */
  take(bytes: number, most = Infinity): HistoryChange[] {
    const taken: HistoryChange[] = [];
    let size = 0;
    for (const slot of this.#pending) {
      if ((size >= bytes && taken.length > 0) || taken.length >= most) break;
      taken.push(slot.change);
      size += slot.change.bytes?.length ?? 0;
      this.#drop(slot);
    }
    this.#removal = undefined;
    return taken;
  }

  /** Stops collecting. */
  close(): void {
    this.#unsubscribe();
  }

  #changed({ kind, path, entry, created }: Change): void {
    const removal = this.#removal;
    this.#removal = undefined;
    switch (kind) {
      case "placed":
        if (created === true) this.#push(entry.kind === "file" ? "create" : "mkdir", path, entry);
        else this.#renamed(removal?.entry === entry ? removal : undefined, path, entry);
        return;
      case "written":
        this.#push("write", path, entry);
        return;
      case "touched":
        if (!isBelowLocks(path)) this.#push("touch", path, entry);
        this.#know(path, entry);
        return;
      case "removed": {
        const before = this.#newest.get(path);
        this.#removed(path, entry.kind, "change", this.#options.memdb.root.version);
        const slot = this.#newest.get(path);
        this.#removal = { entry, path, slot: slot === before ? undefined : slot, before };
        return;
      }
      case "reloaded":
        // `#prepare` has found what differs, and adds that afterwards.
        return;
      default:
        kind satisfies never;
    }
  }

  /** A rename arrives as a removal and a placement of the same entry. */
  #renamed(removal: Removal | undefined, path: string, entry: Entry): void {
    if (removal === undefined) {
      this.#push("replace", path, entry);
      return;
    }
    if (removal.slot !== undefined) this.#drop(removal.slot);
    const { before } = removal;
    const isNewest = before !== undefined && before.order > (this.#newest.get(path)?.order ?? 0);
    if (isNewest && before.change.kind === "create" && before.change.cause === "change") {
      // Made in this batch under a temporary name: one change of the target.
      const { firstVersion } = before.change;
      this.#drop(before);
      this.#push("replace", path, entry, { firstVersion });
      return;
    }
    this.#push("rename", removal.path, entry, { to: path });
  }

  #push(
    kind: ChangeKind,
    path: string,
    entry: Entry,
    more: Partial<Pick<Pending, "to" | "cause" | "firstVersion">> = {},
  ): void {
    const place = more.to ?? path;
    this.#know(place, entry);
    const { version } = entry;
    const isPrivate = this.#options.isPrivate(place);
    const keeps = entry.kind === "file" && (!isPrivate || this.#options.keepPrivate);
    const change: Pending = {
      kind,
      cause: "change",
      version,
      firstVersion: version,
      timeMs: this.#now(),
      writer: entry.writer,
      path,
      to: undefined,
      type: entry.kind,
      size: entry.size,
      mtime: entry.mtime,
      bytes: keeps ? this.#bounded(entry.bytes) : undefined,
      isPrivate,
      author: this.#authorOf(path),
      ...more,
    };
    if (kind === "write" && this.#join(change)) return;
    this.#append(change);
  }

  /** The content, while the bound on contents permits it. */
  #bounded(bytes: Uint8Array): Uint8Array | undefined {
    if (this.#bytes + bytes.length <= this.#limits.bytes) return bytes;
    this.lostContents++;
    return undefined;
  }

  /** Joins a write with the pending change of the same file by the same author. */
  #join(change: Pending): boolean {
    const last = this.#newest.get(change.path)?.change;
    if (last === undefined || !JOINED.has(last.kind) || last.cause !== change.cause) return false;
    if (last.author?.pid !== change.author?.pid || last.writer !== change.writer) return false;
    this.#bytes += (change.bytes?.length ?? 0) - (last.bytes?.length ?? 0);
    const { version, timeMs, size, mtime, bytes } = change;
    Object.assign(last, { version, timeMs, size, mtime, bytes });
    this.#lastMs = timeMs;
    return true;
  }

  #append(change: Pending): void {
    if (this.#pending.size >= this.#limits.changes) {
      this.lostChanges++;
      return;
    }
    const slot = { order: ++this.#lastOrder, change };
    this.#pending.add(slot);
    this.#newest.set(placeOf(change), slot);
    this.#lastMs = change.timeMs;
    this.#bytes += change.bytes?.length ?? 0;
    if (this.#pending.size === 1) this.#options.pending();
  }

  /** Removes a pending change. */
  #drop(slot: Slot): void {
    if (!this.#pending.delete(slot)) return;
    this.#bytes -= slot.change.bytes?.length ?? 0;
    const place = placeOf(slot.change);
    if (this.#newest.get(place) === slot) this.#newest.delete(place);
  }

  #removed(path: string, type: "file" | "directory", cause: ChangeCause, version: number): void {
    this.#known.delete(path);
    const { root } = this.#options.memdb;
    this.#append({
      kind: "remove",
      cause,
      version,
      firstVersion: version,
      timeMs: this.#now(),
      writer: root.writer,
      path,
      to: undefined,
      type,
      size: 0,
      mtime: root.mtime,
      bytes: undefined,
      isPrivate: this.#options.isPrivate(path),
      author: cause === "change" ? this.#authorOf(path) : undefined,
    });
  }

  /** A sync replaces the tree: finds what differs, to be added once the tree is replaced. */
  *#prepare(coming: ComingTree): Steps {
    const seen = new Set<string>();
    const placed: (readonly [path: string, entry: Entry])[] = [];
    for (const [path, entry] of coming.paths()) {
      seen.add(path);
      const before = this.#known.get(path);
      if (before === undefined || !isSame(before, coming.stampOf(entry), entry)) {
        placed.push([path, entry]);
      }
      if (seen.size % ENTRIES_PER_STEP === 0) yield undefined;
    }
    const gone: (readonly [path: string, type: Entry["kind"]])[] = [];
    let count = 0;
    for (const [path, { type }] of this.#known) {
      if (!seen.has(path)) gone.push([path, type]);
      if (++count % ENTRIES_PER_STEP === 0) yield undefined;
    }
    coming.after.push(() => this.#synced(placed, gone));
  }

  *#synced(
    placed: readonly (readonly [path: string, entry: Entry])[],
    gone: readonly (readonly [path: string, type: Entry["kind"]])[],
  ): Steps {
    const { version } = this.#options.memdb.root;
    for (const part of inParts(gone)) {
      for (const [path, type] of part) this.#removed(path, type, "sync", version);
      yield undefined;
    }
    for (const part of inParts(placed)) {
      for (const [path, entry] of part) {
        const isNew = !this.#known.has(path);
        const kind = entry.kind === "directory" ? "mkdir" : isNew ? "create" : "replace";
        this.#push(kind, path, entry, { cause: "sync" });
      }
      yield undefined;
    }
  }

  #know(path: string, { version, writer, mtime, kind }: Entry): void {
    this.#known.set(path, { version, writer, mtime, type: kind });
  }
}

/** False also for an equal version that another node gave out while this one was apart from it. */
function isSame(known: Known, { version, writer, mtime }: Stamp, { kind }: Entry): boolean {
  const isStamp = known.version === version && known.writer === writer && known.mtime === mtime;
  return isStamp && known.type === kind;
}
