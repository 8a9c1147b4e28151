/**
 * A plain directory as the source of the tree: `serve --dir`. Changes are taken over when somebody
 * asks, not when they happen: the kernel keeps them (inotify) until the next request, which sees
 * them at the cost of one system call, and an idle server does nothing. For what inotify does not
 * tell (remote file systems, hard links from elsewhere, no watches left) every file is compared
 * with its stamp within a second, a few at a time. C counterpart: none; there it is FUSE.
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

/** Between two looks at stamps, so that requests in quick succession do not pay for one each. */
const SWEEP_EVERY_MS = 10;
/** All stamps are compared once in this time. */
const SWEEP_ROUND_MS = 900;
/** Where inotify tells everything, at most so many at a time. */
const SWEEP_BUDGET = 256;
/** Names compared while a directory is open. */
const SWEEP_SLICE = 64;
/** Names compared between two chances to stop. */
const SWEEP_STEP = 8;
/** Names in one directory that do not wait for a long change to be taken over. */
const HURRIED_NAMES = 16;
/** A change that takes longer is said. */
const BEHIND_SAID_MS = 1000;

/** statfs(2) types whose files change without this kernel: NFS, SMB, 9p, FUSE, Ceph, AFS. */
const REMOTE: ReadonlySet<number> = new Set([
  0x6969, 0xff53_4d42, 0xfe53_4d42, 0x517b, 0x0102_1997, 0x6573_5546, 0x00c3_6400, 0x5346_414f,
]);

/** Somebody may make and remove a FIFO in a loop. */
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
  /** Where the path led at the start; nothing is followed from then on. */
  readonly #realPath: string;
  readonly #log: Log;
  readonly #inotify: Inotify | undefined;
  readonly #tree: DirectoryTree;
  readonly #dirty = new Map<Folder, Map<string, number>>();
  readonly #remote: boolean;
  /** What events named. */
  readonly #work: SlicedWork;
  /** Stamps that are compared meanwhile. */
  readonly #sweeping: SlicedWork;
  readonly reloads: Reloads;
  /** The first few since the last line, and how many there were. */
  readonly #leftOut: LeftOut[] = [];
  #leftOutCount = 0;
  #reportedAt = -REPORT_EVERY_MS;
  #overflowed = false;
  #round: Steps | undefined;
  /** The round has a directory open. */
  #holdsDescriptor = false;
  /** Stamps to compare; negative after a sweep that compared more, to finish its directory. */
  #due = 0;
  #sweptAt = performance.now();
  #saidBehind = false;
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

  /** Fills the tree; a text that says why when there is no such directory. */
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

  /** What is left out at this moment, and why. */
  leftOut(): LeftOut[] {
    return [...this.#tree.leftOut()];
  }

  /**
   * Takes over what changed since the last call, or a slice of it. Half a microsecond when nothing
   * did.
   */
  refresh(): void {
    if (this.#work.busy) {
      this.#hurry();
      this.#work.work();
      return this.#sayBehind();
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
    // What happens to a directory itself is reported by the one above it, under its name.
    if (name === "") {
      if (folder === this.#tree.root) this.#endRound();
      return;
    }
    const names = this.#dirty.get(folder) ?? new Map<string, number>();
    names.set(name, (names.get(name) ?? 0) | mask);
    this.#dirty.set(folder, names);
  };

  /** Looks at what events named, and at events that come meanwhile. */
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
    this.#sayBehind();
  }

  *#lookAll(directory: number, folder: Folder, names: ReadonlyMap<string, number>): Steps {
    for (const [name, mask] of names) {
      yield* this.#tree.look(directory, folder, name, mask);
      yield this.#tree.stepLength();
    }
  }

  /** While much is looked at: files that changed meanwhile are not kept waiting for all of it. */
  #hurry(): void {
    if (this.#inotify?.drain(this.#note, 1) !== true) return;
    for (const [folder, names] of this.#dirty) {
      const isSmall = names.size <= HURRIED_NAMES && this.#tree.folders.has(folder);
      if (!isSmall || [...names.keys()].some((name) => folder.folders.has(name))) continue;
      const found = [...names];
      const looked = (directory: number): Steps => this.#lookFiles(directory, folder, found);
      for (const steps = this.#tree.within(folder, looked); steps.next().done !== true;);
      this.#dirty.delete(folder);
    }
  }

  // oxlint-disable-next-line require-yield -- as `within` takes it; so few names need no pause
  *#lookFiles(
    directory: number,
    folder: Folder,
    names: readonly (readonly [string, number])[],
  ): Steps {
    for (const [name, mask] of names) {
      // A directory that came meanwhile is looked at with the rest.
      if (this.#tree.lookOnly(directory, folder, name, mask)) this.#overflowed = true;
    }
  }

  /** Compares as many stamps as the time since the last call asks for. */
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
    // The next request may come in hours: no descriptor stays open between two sweeps.
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

  /** A part of a round that a sweep does not leave unfinished. */
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

  /** Another directory may stand at the path by now, or none; a symlink is not followed. */
  *#checkRoot(): Steps {
    const stats = lstatSync(this.#realPath, { throwIfNoEntry: false });
    const { stamp } = this.#tree.root;
    if (stats?.ino === stamp.ino && stats.dev === stamp.dev) {
      this.#complaints.clear();
      return;
    }
    try {
      yield* this.#tree.reroot(reopenRoot(this.#realPath));
      this.#complain("another directory is in its place, and is served from now on");
    } catch (error) {
      this.#complain(`it is gone (${errorText(error)}); what was in it is served on`);
    }
  }

  /** All of it is looked at again, with the next event. */
  #failed(error: unknown): void {
    this.reloads.failed();
    this.#overflowed = true;
    this.#complain(`not looked at: ${errorText(error)}`);
  }

  #complain(line: string): void {
    this.#complaints.say(line);
  }

  /** One line when a change takes long, and one when it is taken over. */
  #sayBehind(): void {
    const { behindMs } = this.reloads;
    if (behindMs === 0 && this.#saidBehind) {
      this.#saidBehind = false;
      this.#log.info(`${this.#path}: all changes are served again`);
    }
    if (behindMs < BEHIND_SAID_MS || this.#saidBehind) return;
    this.#saidBehind = true;
    this.#log.warn(
      `${this.#path}: changes are read for ${(behindMs / 1000).toFixed(1)} s; meanwhile what ` +
        "was there before is served, in part",
    );
  }

  /** One line for all that was left out since the last one, and no flood of lines. */
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

/** `a (a symlink), b (2000000 bytes, ...) and 3 more`; names as UTF-8 where they are. */
function describe(found: readonly LeftOut[], count: number): string {
  const shown = found.map(({ path, reason }) => {
    return `${Buffer.from(path, "latin1").toString("utf8")} (${reason})`;
  });
  const more = count - shown.length;
  return more === 0 ? shown.join(", ") : `${shown.join(", ")} and ${more} more`;
}
