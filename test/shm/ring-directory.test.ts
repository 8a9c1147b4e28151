/**
 * Ring directories on errors: each call to the file system in turn fails with each possible errno,
 * and no descriptor or file is left. And ring directories that were renamed, removed or truncated.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { openSync, readdirSync, renameSync, rmSync, symlinkSync, truncateSync } from "node:fs";
import { Errno } from "../../src/base/errno.ts";
import { RingDirectory, SHM } from "../../src/shm/ring-directory.ts";
import { RingPool } from "../../src/shm/ring-pool.ts";
import { StaleDirectories } from "../../src/shm/stale-directories.ts";
import { RING_NAMES } from "../../src/shm/ring-set.ts";
import {
  closeDescriptor,
  Directory,
  type FileDirectory,
  lockFile,
} from "../../src/platform/files.ts";
import { PAGE_BYTES } from "../../src/platform/memory.ts";
import { RingHeader } from "../../src/wire/qb.ts";
import { openShm, ringDirectories } from "../support/shm.ts";

const SERVICE = `faults-${process.pid}`;
const SELF = { pid: process.pid, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
const ERRORS = [Errno.ENOSPC, Errno.EMFILE, Errno.EINTR, Errno.EACCES];

let shm: Directory;

beforeAll(() => {
  shm = openShm();
});

afterAll(() => shm[Symbol.dispose]());

/** Which call fails with which errno; `calls` counts the calls. */
interface Plan {
  calls: number;
  readonly failing: number;
  readonly error: Errno;
}

/** A directory whose nth call fails; calls on directories made in it are counted, too. */
function faulty(real: FileDirectory, plan: Plan): FileDirectory {
  const orFail = <T>(call: () => T): T | Errno =>
    plan.calls++ === plan.failing ? plan.error : call();
  const wrapped = (made: FileDirectory | Errno) =>
    typeof made === "number" ? made : faulty(made, plan);
  return {
    inode: real.inode,
    makeSub: (name) => orFail(() => wrapped(real.makeSub(name))),
    makeFile: (name, size) => orFail(() => real.makeFile(name, size)),
    give: (uid, gid, mode) => orFail(() => real.give(uid, gid, mode)),
    giveToGroup: (gid, mode) => real.giveToGroup(gid, mode),
    share: (uid) => real.share(uid),
    lookAt: (name) => real.lookAt(name),
    rename: (from, to) => orFail(() => real.rename(from, to)),
    // Calls that clean up do not fail: that could not be handled.
    openSub: (name) => wrapped(real.openSub(name)),
    unlink: (name) => real.unlink(name),
    removeSub: (name) => real.removeSub(name),
    [Symbol.dispose]: () => real[Symbol.dispose](),
  };
}

function held(): { descriptors: number; directories: number } {
  return {
    descriptors: readdirSync("/proc/self/fd").length,
    directories: ringDirectories(process.pid).length,
  };
}

function makeAndGive(parent: FileDirectory): RingDirectory | Errno {
  using pool = new RingPool(parent, SERVICE, 0);
  return pool.takeFor(SELF, 9, PAGE_BYTES);
}

/** A directory whose first file a sweep holds until `files` further ones are made. */
function probed(real: FileDirectory, files: number): FileDirectory {
  let probe = -1;
  let left = files;
  const makeFile = (name: string, size: number): number => {
    if (probe >= 0 && --left === 0) closeDescriptor(probe);
    const fd = real.makeFile(name, size);
    if (probe === -1) {
      probe = (real as Directory).openFile(name);
      expect(lockFile(probe)).toBe(0);
    }
    return fd;
  };
  return new Proxy(real, {
    get(target, key) {
      if (key === "makeFile") return makeFile;
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}

/** /dev/shm, with `probed` directories. */
function probedShm(files: number): FileDirectory {
  const makeSub = (name: string): FileDirectory | Errno => {
    const made = shm.makeSub(name);
    return typeof made === "number" ? made : probed(made, files);
  };
  return { ...faulty(shm, { ...counting }), makeSub };
}

const counting: Plan = { calls: 0, failing: -1, error: Errno.EIO };

test("without faults a directory with six files is made and then removed", () => {
  const before = held();
  const made = makeAndGive(faulty(shm, counting));
  if (typeof made === "number") throw new Error(`errno ${-made}`);
  expect(held().directories).toBe(before.directories + 1);
  expect(held().descriptors).toBe(before.descriptors);
  made[Symbol.dispose]();
  expect(held()).toEqual(before);
});

for (const error of ERRORS) {
  test(`errno ${-error} at any call is returned, and nothing is left`, () => {
    const before = held();
    expect(counting.calls).toBe(9);
    for (let failing = 0; failing < counting.calls; failing++) {
      expect(makeAndGive(faulty(shm, { calls: 0, failing, error }))).toBe(error);
      expect(held()).toEqual(before);
    }
  });
}

test("a file that cannot be mapped gives an errno, and nothing is left", () => {
  const before = held();
  const plan: Plan = { calls: 0, failing: -1, error: Errno.EIO };
  const parent = faulty(shm, plan);
  const unmappable: FileDirectory = {
    ...parent,
    inode: parent.inode,
    makeSub(name) {
      const made = parent.makeSub(name);
      if (typeof made === "number") return made;
      return { ...made, inode: made.inode, makeFile: () => openSync("/dev/null", "r+") };
    },
  };
  expect(makeAndGive(unmappable)).toBeLessThan(0);
  expect(held()).toEqual(before);
});

/** A prepared directory, as in a pool, and its path. */
function ready(): { rings: RingDirectory; path: string } {
  const before = new Set(ringDirectories(process.pid));
  const rings = RingDirectory.make(shm, SERVICE, PAGE_BYTES);
  if (typeof rings === "number") throw new Error(`errno ${-rings}`);
  const name = ringDirectories(process.pid).find((one) => !before.has(one));
  return { rings, path: `${SHM}/${name}` };
}

test("the headers of rings for a client have the fields that libqb's clients need", () => {
  using rings = ready().rings;
  expect(rings.giveTo(SELF, 9)).toBe(0);
  for (const ring of RING_NAMES) {
    const { words, bytes, headerWord, wordCount } = rings.set.rings[ring];
    const word = (offset: number) => words[headerWord + (offset >> 2)];
    const path = (offset: number) => {
      const from = headerWord * 4 + offset;
      return bytes.toString("latin1", from, bytes.indexOf(0, from));
    };
    expect(word(RingHeader.wordCount)).toBe(wordCount);
    expect(word(RingHeader.refCount)).toBe(1);
    expect(word(RingHeader.semaphore)).toBe(0);
    // Without it glibc waits on a private futex that is never woken.
    expect(word(RingHeader.semaphorePrivate)).toBe(128);
    expect(path(RingHeader.headerPath)).toBe(`${rings.prefix(ring)}-header`);
    expect(path(RingHeader.dataPath)).toBe(`${rings.prefix(ring)}-data`);
  }
});

test("a directory that was removed cannot be given to a client", () => {
  const { rings, path } = ready();
  rmSync(path, { recursive: true });
  expect(rings.giveTo(SELF, 9)).toBe(Errno.ENOENT);
  rings[Symbol.dispose]();
});

test("a directory whose files were removed cannot be given to a client", () => {
  const { rings, path } = ready();
  for (const file of readdirSync(path)) rmSync(`${path}/${file}`);
  expect(rings.giveTo(SELF, 9)).toBe(Errno.ENOENT);
  rings[Symbol.dispose]();
  expect(readdirSync(SHM)).not.toContain(path.slice(SHM.length + 1));
});

test("a directory whose files were truncated cannot be given to a client", () => {
  const { rings, path } = ready();
  for (const file of readdirSync(path)) truncateSync(`${path}/${file}`, 0);
  expect(rings.giveTo(SELF, 9)).toBe(Errno.ENOENT);
  rings[Symbol.dispose]();
});

test("a renamed directory is found and removed; another one with its old name is not", () => {
  const { rings, path } = ready();
  renameSync(path, `${path}-moved`);
  symlinkSync("/etc", path);
  rings[Symbol.dispose]();
  const names = readdirSync(SHM);
  expect(names).not.toContain(`${path}-moved`.slice(SHM.length + 1));
  expect(names).toContain(path.slice(SHM.length + 1));
  rmSync(path);
});

/** /dev/shm while no descriptor is free: directories in it cannot be opened. */
function exhaustedShm(): FileDirectory {
  return { ...faulty(shm, { ...counting }), openSub: () => Errno.EMFILE };
}

test("a directory is removed also when no descriptor is free", () => {
  const before = held();
  const rings = RingDirectory.make(exhaustedShm(), SERVICE, PAGE_BYTES);
  if (typeof rings === "number") throw new Error(`errno ${-rings}`);
  expect(rings.giveTo(SELF, 9)).toBe(0);
  rings[Symbol.dispose]();
  expect(held()).toEqual(before);
});

test("when no descriptor is free, a link in the place of a directory is not followed", () => {
  const elsewhere = ready();
  const before = new Set(ringDirectories(process.pid));
  const rings = RingDirectory.make(exhaustedShm(), SERVICE, PAGE_BYTES);
  if (typeof rings === "number") throw new Error(`errno ${-rings}`);
  const name = ringDirectories(process.pid).find((one) => !before.has(one));
  renameSync(`${SHM}/${name}`, `${SHM}/${name}-moved`);
  symlinkSync(elsewhere.path, `${SHM}/${name}`);
  rings[Symbol.dispose]();
  expect(readdirSync(elsewhere.path)).toHaveLength(6);
  elsewhere.rings[Symbol.dispose]();
  rmSync(`${SHM}/${name}`);
  rmSync(`${SHM}/${name}-moved`, { recursive: true });
});

test("a directory that a sweep probes while it is made is locked nevertheless", async () => {
  const before = held();
  const rings = RingDirectory.make(probedShm(2), SERVICE, PAGE_BYTES);
  if (typeof rings === "number") throw new Error(`errno ${-rings}`);
  const [name = ""] = ringDirectories(process.pid);
  expect(await new StaleDirectories(shm).livenessOf(name)).toBe("alive");
  rings[Symbol.dispose]();
  expect(held()).toEqual(before);
});

test("a directory whose lock cannot be taken is refused with EAGAIN, and nothing is left", () => {
  const before = held().directories;
  expect(RingDirectory.make(probedShm(100), SERVICE, PAGE_BYTES)).toBe(Errno.EAGAIN);
  expect(held().directories).toBe(before);
});
