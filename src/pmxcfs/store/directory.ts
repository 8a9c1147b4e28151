/**
 * A plain directory as the source of the tree: `serve --dir`. Changes are taken over when somebody
 * asks, not when they happen: the kernel keeps them (inotify) until the next request, which sees
 * them at the cost of one system call, and an idle server does nothing. For what inotify does not
 * tell (remote file systems, hard links from elsewhere, no watches left) every file is compared
 * with its stamp within a second, a few at a time. C counterpart: none; there it is FUSE.
 */
import { closeSync, fstatSync, statSync, statfsSync } from "node:fs";
import type { Log } from "../../base/log.ts";
import { Inotify, Watch } from "../../platform/inotify.ts";
import { DirectoryTree, type Folder, type LeftOut } from "./directory-tree.ts";
import { isSameStamp, openRoot, stampOf } from "./file-walk.ts";
import type { Memdb } from "../state/memdb.ts";
import { LogOnce } from "../../base/log-once.ts";
import { errorText } from "../../base/error-text.ts";
import { Reloads } from "./reloads.ts";

/** Between two looks at stamps, so that requests in quick succession do not pay for one each. */
const SWEEP_EVERY_MS = 10;
/** All stamps are compared once in this time. */
const SWEEP_ROUND_MS = 900;
/** Where inotify tells everything, at most so many at a time. */
const SWEEP_BUDGET = 256;
/** Names compared while a directory is open. */
const SWEEP_SLICE = 64;

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
  readonly #log: Log;
  readonly #inotify: Inotify | undefined;
  readonly #tree: DirectoryTree;
  readonly #dirty = new Map<Folder, Map<string, number>>();
  readonly #remote: boolean;
  readonly reloads: Reloads;
  #leftOut: LeftOut[] = [];
  #reportedAt = -REPORT_EVERY_MS;
  #overflowed = false;
  #round: Iterator<number> | undefined;
  #sweptAt = performance.now();
  readonly #complaints: LogOnce;

  private constructor(
    options: DirectorySourceOptions,
    rootFd: number,
    inotify: Inotify | undefined,
  ) {
    const { directory, memdb, log } = options;
    const startedMs = performance.now();
    this.#path = directory;
    this.#log = log;
    this.#complaints = new LogOnce((line) => log.warn(`${this.#path}: ${line}`));
    this.#inotify = inotify;
    this.#remote = REMOTE.has(statfsSync(directory).type);
    const onLeftOut = (what: LeftOut): void => void this.#leftOut.push(what);
    this.#tree = new DirectoryTree({ memdb, inotify: this.#inotify, onLeftOut }, rootFd);
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
      rootFd = openRoot(options.directory);
      inotify = options.watch === false ? undefined : Inotify.open();
      return new DirectorySource(options, rootFd, inotify);
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

  /** Takes over what changed since the last call. Half a microsecond when nothing did. */
  refresh(): void {
    if (this.#inotify?.drain(this.#note) === true) this.#settle();
    const now = performance.now();
    if (now - this.#sweptAt >= SWEEP_EVERY_MS) this.#sweep(now);
  }

  [Symbol.dispose](): void {
    this.#inotify?.[Symbol.dispose]();
    this.#tree.close();
  }

  readonly #note = (watch: number, mask: number, name: string): void => {
    if ((mask & Watch.OVERFLOW) !== 0) {
      this.#overflowed = true;
      return;
    }
    const folder = this.#tree.folderOf(watch);
    if (folder === undefined) return;
    if ((mask & Watch.IGNORED) !== 0) this.#tree.forgetWatch(watch);
    // What happens to a directory itself is told by the one above it, under its name.
    if (name === "") {
      if (folder === this.#tree.root) this.#round = undefined;
      return;
    }
    const names = this.#dirty.get(folder) ?? new Map<string, number>();
    names.set(name, (names.get(name) ?? 0) | mask);
    this.#dirty.set(folder, names);
  };

  #settle(): void {
    const startedMs = performance.now();
    if (this.#overflowed) {
      this.#overflowed = false;
      this.#dirty.clear();
      this.#tree.within(this.#tree.root, (directory) =>
        this.#tree.enter(directory, this.#tree.root),
      );
    }
    for (const [folder, names] of this.#dirty) {
      if (!this.#tree.folders.has(folder)) continue;
      this.#tree.within(folder, (directory) => {
        for (const [name, mask] of names) this.#tree.look(directory, folder, name, mask);
      });
    }
    this.#dirty.clear();
    this.reloads.done("inotify", startedMs);
    this.#report();
  }

  /** Compares as many stamps as the time since the last call asks for. */
  #sweep(now: number): void {
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
    let budget = Math.min(share, stamps);
    if (!unwatched && !this.#remote) budget = Math.min(budget, SWEEP_BUDGET);
    while (budget > 0) {
      this.#round ??= this.#stamps();
      const step = this.#round.next();
      if (step.done === true) this.#round = undefined;
      else budget -= step.value;
      if (step.done === true) break;
    }
    if (this.#tree.changes !== changes) this.reloads.done("sweep", now);
    this.#report();
  }

  /** One round over all stamps, in steps; each says how many it compared. */
  *#stamps(): Generator<number> {
    this.#checkRoot();
    for (const folder of this.#tree.folders) {
      if (!this.#tree.folders.has(folder)) continue;
      this.#tree.within(folder, (directory) => this.#compareFolder(directory, folder));
      yield 1;
      const names = [...folder.known.keys()];
      for (let at = 0; at < names.length; at += SWEEP_SLICE) {
        const slice = names.slice(at, at + SWEEP_SLICE);
        if (!this.#tree.folders.has(folder)) break;
        this.#tree.within(folder, (directory) => {
          for (const name of slice) this.#tree.look(directory, folder, name, 0);
        });
        yield slice.length;
      }
    }
  }

  #compareFolder(directory: number, folder: Folder): void {
    const stamp = stampOf(fstatSync(directory));
    if (!isSameStamp(stamp, folder.stamp)) this.#tree.visit(directory, folder, false);
  }

  /** The path may lead to another directory by now, or to none. */
  #checkRoot(): void {
    const stats = statSync(this.#path, { throwIfNoEntry: false });
    const { stamp } = this.#tree.root;
    if (stats?.ino === stamp.ino && stats.dev === stamp.dev) {
      this.#complaints.clear();
      return;
    }
    try {
      this.#tree.reroot(openRoot(this.#path));
      this.#complaints.say("another directory is in its place, and is served from now on");
    } catch (error) {
      this.#complaints.say(`it is gone (${errorText(error)}); what was in it is served on`);
    }
  }

  /** One line for all that was left out since the last one, and no flood of lines. */
  #report(): void {
    if (this.#leftOut.length === 0) return;
    const now = performance.now();
    if (now - this.#reportedAt < REPORT_EVERY_MS) return;
    this.#reportedAt = now;
    const found = this.#leftOut;
    this.#leftOut = [];
    this.#log.warn(`${this.#path}: left out: ${describe(found)}`);
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
function describe(found: readonly LeftOut[]): string {
  const shown = found.slice(0, SHOWN_NAMES).map(({ path, reason }) => {
    return `${Buffer.from(path, "latin1").toString("utf8")} (${reason})`;
  });
  const more = found.length - shown.length;
  return more === 0 ? shown.join(", ") : `${shown.join(", ")} and ${more} more`;
}
