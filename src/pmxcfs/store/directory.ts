/**
 * A plain directory as the source of the tree: `serve --dir`. Changes are applied at the next
 * request, not when they happen: inotify queues them in the kernel, a request reads them with one
 * system call, and an idle server does nothing. For changes that inotify does not report (remote
 * file systems, hard links from elsewhere, no watches left) the stamps of all files are compared
 * within a second, a few at a time. No C counterpart: pmxcfs is changed through FUSE only.
 */
import { closeSync, fstatSync, lstatSync, statfsSync } from "node:fs";
import type { Log } from "../../base/log.ts";
import { Inotify, Watch } from "../../platform/inotify.ts";
import type { Folder, LeftOut } from "./directory-folder.ts";
import { DirectoryTree } from "./directory-tree.ts";
import { isSameStamp, openRoot, reopenRoot, stampOf } from "./file-walk.ts";
import type { Memdb } from "../state/memdb.ts";
import { LogOnce } from "../../base/log-once.ts";
import { errorText } from "../../base/error-text.ts";
import type { Steps } from "../../base/steps.ts";
import { Reloads } from "./reloads.ts";
import { SlicedWork } from "./sliced-work.ts";

/** Interval of sweeps over stamps, so that not every request pays for one. */
const SWEEP_EVERY_MS = 10;
/** All stamps are compared once in this time. */
const SWEEP_ROUND_MS = 900;
/** Stamps in one sweep at most, where inotify reports everything. */
const SWEEP_BUDGET = 256;
/** Names compared while a directory is open. */
const SWEEP_SLICE = 64;
/** Names compared in one step. */
const SWEEP_STEP = 8;
/** Up to this many changed names of one directory do not wait while a long change is applied. */
const HURRIED_NAMES = 16;
/** A change that takes longer is logged. */
const BEHIND_LOGGED_MS = 1000;

/** statfs(2) types that other hosts change without events here: NFS, SMB, 9p, FUSE, Ceph, AFS. */
const REMOTE: ReadonlySet<number> = new Set([
  0x6969, 0xff53_4d42, 0xfe53_4d42, 0x517b, 0x0102_1997, 0x6573_5546, 0x00c3_6400, 0x5346_414f,
]);

/** Limits log lines: a process may make and remove a FIFO in a loop. */
const REPORT_EVERY_MS = 1000;
/** Names of what was left out that one log line shows. */
const SHOWN_NAMES = 8;

export interface DirectorySourceOptions {
  readonly directory: string;
  /** Empty. */
  readonly memdb: Memdb;
  readonly log: Log;
  /** False: no inotify, only stamps. */
  readonly watch?: boolean;
}

export class DirectorySource implements Disposable {
  readonly #path: string;
  /** Where the path led at the start; symlinks are not followed after that. */
  readonly #realPath: string;
  readonly #log: Log;
  readonly #inotify: Inotify | undefined;
  readonly #tree: DirectoryTree;
  readonly #dirty = new Map<Folder, Map<string, number>>();
  readonly #remote: boolean;
  /** Handles names from events. */
  readonly #work: SlicedWork;
  /** Compares stamps. */
  readonly #sweeping: SlicedWork;
  readonly reloads: Reloads;
  /** The first names left out since the last log line, and the number of all. */
  readonly #leftOut: LeftOut[] = [];
  #leftOutCount = 0;
  #reportedAt = -REPORT_EVERY_MS;
  #overflowed = false;
  #round: Steps | undefined;
  /** The round over all stamps has a directory open. */
  #holdsDescriptor = false;
  /** Stamps to compare; negative after a sweep that compared more, to finish its directory. */
  #due = 0;
  #sweptAt = performance.now();
  #isBehindLogged = false;
  readonly #complaints: LogOnce;

  private constructor(
    options: DirectorySourceOptions,
    root: { readonly fd: number; readonly realPath: string },
    inotify: Inotify | undefined,
  ) {
    const { directory, memdb, log } = options;
    const startedMs = performance.now();
    this.#path = directory;
    this.#realPath = root.realPath;
    this.#log = log;
    this.#complaints = new LogOnce((line) => log.warn(`${this.#path}: ${line}`));
    this.#inotify = inotify;
    this.#remote = REMOTE.has(statfsSync(directory).type);
    this.#work = new SlicedWork((error) => this.#failed(error));
    this.#sweeping = new SlicedWork((error) => this.#failed(error));
    this.#tree = new DirectoryTree({ memdb, inotify, onLeftOut: this.#noteLeftOut }, root.fd);
    for (const steps = this.#tree.load(); steps.next().done !== true;);
    this.reloads = new Reloads(startedMs, ["inotify", "sweep"]);
    this.#report();
    this.#reportWatches();
    this.#sweptAt = performance.now();
  }

  /** Fills the tree; or a text that says why the directory cannot be read. */
  static open(options: DirectorySourceOptions): DirectorySource | string {
    let rootFd: number | undefined;
    let inotify: Inotify | undefined;
    try {
      const root = openRoot(options.directory);
      rootFd = root.fd;
      inotify = options.watch === false ? undefined : Inotify.open();
      return new DirectorySource(options, root, inotify);
    } catch (error) {
      inotify?.[Symbol.dispose]();
      if (rootFd !== undefined) closeSync(rootFd);
      return errorText(error);
    }
  }

  /** The names that are left out now, and why. */
  leftOut(): LeftOut[] {
    return [...this.#tree.leftOut()];
  }

  /**
   * Applies what changed since the last call, or a slice of it. Takes half a microsecond when
   * nothing did.
   */
  refresh(): void {
    if (this.#work.busy) {
      this.#hurry();
      this.#work.work();
      return this.#reportBehind();
    }
    const now = performance.now();
    if (this.#inotify?.drain(this.#note, 1) === true) {
      this.reloads.began(now);
      return this.#work.start(this.#settle(now));
    }
    if (this.#sweeping.busy) this.#sweeping.work();
    else if (now - this.#sweptAt >= SWEEP_EVERY_MS) this.#sweeping.start(this.#sweep(now));
    return undefined;
  }

  [Symbol.dispose](): void {
    this.#work[Symbol.dispose]();
    this.#sweeping[Symbol.dispose]();
    this.#round?.return();
    this.#inotify?.[Symbol.dispose]();
    this.#tree.close();
  }

  readonly #noteLeftOut = (what: LeftOut): void => {
    this.#leftOutCount++;
    if (this.#leftOut.length < SHOWN_NAMES) this.#leftOut.push(what);
  };

  readonly #note = (watch: number, mask: number, name: string): void => {
    if ((mask & Watch.OVERFLOW) !== 0) {
      this.#overflowed = true;
      return;
    }
    const folder = this.#tree.folderOf(watch);
    if (folder === undefined) return;
    if ((mask & Watch.IGNORED) !== 0) this.#tree.forgetWatch(watch);
    // Changes of a directory itself are also reported by its parent, under its name.
    if (name === "") {
      if (folder === this.#tree.root) this.#endRound();
      return;
    }
    const names = this.#dirty.get(folder) ?? new Map<string, number>();
    names.set(name, (names.get(name) ?? 0) | mask);
    this.#dirty.set(folder, names);
  };

  /** Looks at the names of all events, also of those that arrive meanwhile. */
  *#settle(startedMs: number): Steps {
    for (;;) {
      yield undefined;
      if (this.#overflowed) {
        this.#overflowed = false;
        this.#dirty.clear();
        yield* this.#tree.load();
      }
      for (const [folder, names] of this.#dirty) {
        this.#dirty.delete(folder);
        if (!this.#tree.folders.has(folder)) continue;
        yield* this.#tree.within(folder, (directory) => this.#lookAll(directory, folder, names));
      }
      const isMore = this.#inotify?.drain(this.#note, 1) === true;
      if (!isMore && this.#dirty.size === 0 && !this.#overflowed) break;
    }
    this.reloads.done("inotify", startedMs);
    this.#report();
    this.#reportBehind();
  }

  *#lookAll(directory: number, folder: Folder, names: ReadonlyMap<string, number>): Steps {
    for (const [name, mask] of names) {
      yield* this.#tree.look(directory, folder, name, mask);
      yield this.#tree.stepLength();
    }
  }

  /** During a long change: files that change meanwhile do not wait until it is applied. */
  #hurry(): void {
    if (this.#inotify?.drain(this.#note, 1) !== true) return;
    for (const [folder, names] of this.#dirty) {
      const isSmall = names.size <= HURRIED_NAMES && this.#tree.folders.has(folder);
      if (!isSmall || [...names.keys()].some((name) => folder.folders.has(name))) continue;
      const found = [...names];
      const looked = (directory: number): Steps => this.#lookFiles(directory, folder, found);
      try {
        for (const steps = this.#tree.inside(folder, looked); steps.next().done !== true;);
      } catch {
        // It cannot be opened; if it is gone, its content is removed in slices.
        continue;
      }
      this.#dirty.delete(folder);
    }
  }

  // oxlint-disable-next-line require-yield -- as `inside` takes it; so few names need no pause
  *#lookFiles(
    directory: number,
    folder: Folder,
    names: readonly (readonly [string, number])[],
  ): Steps {
    for (const [name, mask] of names) {
      // A directory that was created meanwhile is read with the rest.
      if (this.#tree.lookOnly(directory, folder, name, mask)) this.#overflowed = true;
    }
  }

  /** Compares the stamps that are due after the time since the last call. */
  *#sweep(now: number): Steps {
    const elapsed = now - this.#sweptAt;
    this.#sweptAt = now;
    const { changes } = this.#tree;
    let stamps = 0;
    let unwatched = false;
    for (const folder of this.#tree.folders) {
      stamps += folder.known.size + 1;
      if (folder.watch < 0) unwatched = true;
    }
    const share = Math.ceil((stamps * elapsed) / SWEEP_ROUND_MS);
    const most = unwatched || this.#remote ? stamps : SWEEP_BUDGET;
    this.#due = Math.min(this.#due + share, stamps, most);
    // The next request may be hours away: no descriptor stays open between two sweeps.
    while (this.#due > 0 || this.#holdsDescriptor) {
      this.#round ??= this.#stamps();
      const { done, value } = this.#round.next();
      if (done === true) {
        this.#round = undefined;
        this.#due = 0;
        break;
      }
      this.#due--;
      if (this.#due % SWEEP_STEP === 0 || (value ?? 1) > 1) yield value;
    }
    if (this.#tree.changes !== changes) this.reloads.done("sweep", now);
    this.#report();
  }

  #endRound(): void {
    this.#round?.return();
    this.#round = undefined;
  }

  /** One round over all stamps; each step compares one. */
  *#stamps(): Steps {
    yield* this.#inOneSweep(this.#checkRoot());
    for (const folder of this.#tree.folders) {
      if (!this.#tree.folders.has(folder)) continue;
      const compare = (directory: number): Steps => this.#compareFolder(directory, folder);
      yield* this.#inOneSweep(this.#tree.within(folder, compare));
      const names = [...folder.known.keys()];
      for (let at = 0; at < names.length; at += SWEEP_SLICE) {
        const slice = new Map(names.slice(at, at + SWEEP_SLICE).map((name) => [name, 0]));
        if (!this.#tree.folders.has(folder)) break;
        const look = (directory: number): Steps => this.#lookAll(directory, folder, slice);
        yield* this.#inOneSweep(this.#tree.within(folder, look));
      }
    }
  }

  /** A part of a round that one sweep must complete. */
  *#inOneSweep(part: Steps): Steps {
    this.#holdsDescriptor = true;
    try {
      yield* part;
    } finally {
      this.#holdsDescriptor = false;
    }
    yield undefined;
  }

  *#compareFolder(directory: number, folder: Folder): Steps {
    const stamp = stampOf(fstatSync(directory));
    if (!isSameStamp(stamp, folder.stamp)) yield* this.#tree.visit(directory, folder, false);
  }

  /** Another directory may be at the path by now, or none; a symlink is not followed. */
  *#checkRoot(): Steps {
    const { stamp } = this.#tree.root;
    try {
      const { ino, dev } = lstatSync(this.#realPath);
      if (ino === stamp.ino && dev === stamp.dev) {
        this.#complaints.clear();
        return;
      }
      yield* this.#tree.reroot(reopenRoot(this.#realPath));
      this.#complain("another directory is in its place, and is served from now on");
    } catch (error) {
      this.#complain(`it is gone (${errorText(error)}); its last content is still served`);
    }
  }

  /** Everything is read again at the next event. */
  #failed(error: unknown): void {
    this.reloads.failed();
    this.#overflowed = true;
    this.#complain(`changes cannot be read: ${errorText(error)}`);
  }

  #complain(line: string): void {
    this.#complaints.say(line);
  }

  /** Logs when a change takes long, and when it is applied. */
  #reportBehind(): void {
    const { behindMs } = this.reloads;
    if (behindMs === 0 && this.#isBehindLogged) {
      this.#isBehindLogged = false;
      this.#log.info(`${this.#path}: all changes are served again`);
    }
    if (behindMs < BEHIND_LOGGED_MS || this.#isBehindLogged) return;
    this.#isBehindLogged = true;
    this.#log.warn(
      `${this.#path}: reading changes has taken ${(behindMs / 1000).toFixed(1)} s; until it is ` +
        "complete, part of the old state is served",
    );
  }

  /** Logs one line for all names left out since the last line, once a second at most. */
  #report(): void {
    if (this.#leftOutCount === 0) return;
    const now = performance.now();
    if (now - this.#reportedAt < REPORT_EVERY_MS) return;
    this.#reportedAt = now;
    const found = describe(this.#leftOut, this.#leftOutCount);
    this.#leftOut.length = 0;
    this.#leftOutCount = 0;
    this.#log.warn(`${this.#path}: left out: ${found}`);
  }

  #reportWatches(): void {
    const unwatched = [...this.#tree.folders].filter(({ watch }) => watch < 0).length;
    if (unwatched === 0 || this.#inotify === undefined) return;
    this.#log.warn(
      `${this.#path}: ${unwatched} of ${this.#tree.folders.size} directories cannot be watched ` +
        "(fs.inotify.max_user_watches): changes there are seen within a second",
    );
  }
}

/** `a (a symlink), b (2000000 bytes, ...) and 3 more`; names are shown as UTF-8. */
function describe(found: readonly LeftOut[], count: number): string {
  const shown = found.map(({ path, reason }) => {
    return `${Buffer.from(path, "latin1").toString("utf8")} (${reason})`;
  });
  const more = count - shown.length;
  return more === 0 ? shown.join(", ") : `${shown.join(", ")} and ${more} more`;
}
