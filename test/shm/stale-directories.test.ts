/**
 * A start removes the ring directories of dead servers of its own service, and never those of a
 * live server, whatever its pid namespace and its pid in there.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Directory } from "../../src/platform/files.ts";
import { newDirectoryName, RingDirectory, SHM } from "../../src/shm/ring-directory.ts";
import { StaleDirectories, sweepStaleDirectories } from "../../src/shm/stale-directories.ts";
import { PAGE_BYTES } from "../../src/platform/memory.ts";
import { eventually } from "../support/eventually.ts";
import { LineProcess } from "../support/lines.ts";
import { native } from "../support/native.ts";
import { echoCommand, isListening, removeStatus, uniqueName } from "../support/service.ts";
import { openShm, ringDirectories } from "../support/shm.ts";
import { shortSlices } from "../support/short-slices.ts";
import { testUnless } from "../support/unless.ts";

setDefaultTimeout(60_000);

const asRoot = testUnless(process.getuid?.() === 0 ? undefined : "needs root, for namespaces");
const SERVICE = `stale-${process.pid}`;

let shm: Directory;

beforeAll(() => {
  shm = openShm();
});

afterAll(() => {
  for (const name of ringDirectories(process.pid)) rmSync(`${SHM}/${name}`, { recursive: true });
  shm[Symbol.dispose]();
});

test("a mapped directory is alive, one that was left is dead, for every process", async () => {
  const rings = RingDirectory.make(shm, SERVICE, PAGE_BYTES);
  if (typeof rings === "number") throw new Error(`errno ${-rings}`);
  rings.giveTo({ pid: 1, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }, 5);
  const [name = ""] = ringDirectories(process.pid);
  const stale = new StaleDirectories(shm);
  expect(await stale.livenessOf(name)).toBe("alive");
  rings.set[Symbol.dispose]();
  expect(await stale.livenessOf(name)).toBe("dead");
  expect(stale.remove(name, "another-service")).toBe(false);
  writeFileSync(`${SHM}/${name}/precious`, "");
  expect(stale.remove(name, SERVICE)).toBe(false);
  rmSync(`${SHM}/${name}/precious`);
  expect(stale.remove(name, SERVICE)).toBe(true);
  expect(ringDirectories(process.pid)).toEqual([]);
});

/** Makes a directory of this process with a server's lock on it; dispose its set: it is dead. */
function ringDirectory(): RingDirectory {
  const rings = RingDirectory.make(shm, SERVICE, PAGE_BYTES);
  if (typeof rings === "number") throw new Error(`errno ${-rings}`);
  rings.giveTo({ pid: 1, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }, 5);
  return rings;
}

const left = (): number => ringDirectories(process.pid).length;

test("a sweep ends between two directories, and keeps one that is made meanwhile", async () => {
  for (let count = 0; count < 4; count++) ringDirectory().set[Symbol.dispose]();
  {
    using _slices = shortSlices();
    expect(await sweepStaleDirectories(shm, SERVICE, () => left() < 4)).toBe(1);
  }
  expect(left()).toBe(3);
  let made: RingDirectory | undefined;
  {
    using _slices = shortSlices(() => (made ??= ringDirectory()));
    expect(await sweepStaleDirectories(shm, SERVICE, () => false)).toBe(3);
  }
  expect(left()).toBe(1);
  made?.set[Symbol.dispose]();
  expect(await sweepStaleDirectories(shm, SERVICE, () => false)).toBe(1);
});

test("other directories, and libqb's whose pid is alive, are kept", async () => {
  const stale = new StaleDirectories(shm);
  for (const name of ["qb-", "qb-1-2-3", "sem.qb-1-1-1-abcdef", `qb-${process.pid}-lock`]) {
    expect(await stale.livenessOf(name)).toBe("unknown");
  }
  expect(await stale.livenessOf(`qb-${process.ppid}-1-1-AbCdEf`)).toBe("alive");
});

test("a directory with more files than a ring directory has is not listed to its end", async () => {
  const name = newDirectoryName(1, 5);
  mkdirSync(`${SHM}/${name}`);
  writeFileSync(`${SHM}/${name}/qb-request-${SERVICE}-header`, "");
  const stale = new StaleDirectories(shm);
  expect(await stale.livenessOf(name)).toBe("dead");
  for (let i = 0; i < 64; i++) writeFileSync(`${SHM}/${name}/${i}`, "");
  expect(await stale.livenessOf(name)).toBe("unknown");
  expect(stale.remove(name, SERVICE)).toBe(false);
  rmSync(`${SHM}/${name}`, { recursive: true });
});

test("the names of a large directory are read a few at a time, also while some are removed", () => {
  const path = mkdtempSync(join(SHM, "pmxcfs-ipc-names-"));
  try {
    const made = Array.from({ length: 3000 }, (_, index) => `qb-${index}-1-1-abcdef`);
    for (const name of made) writeFileSync(join(path, name), "");
    const removed: string[] = [];
    for (const name of new StaleDirectories(shm, path).names()) {
      if (!name.startsWith("qb-")) continue;
      rmSync(join(path, name));
      removed.push(name);
    }
    expect(removed.toSorted()).toEqual(made.toSorted());
    for (const name of made) writeFileSync(join(path, name), "");
    const names = new StaleDirectories(shm, path).names();
    names.next();
    for (const name of made) rmSync(join(path, name));
    // "." and ".." are among them.
    expect([...names].length).toBeLessThan(1000);
  } finally {
    rmSync(path, { recursive: true });
  }
});

/** A /proc of the initial pid namespace with one process, whose mappings are not there yet. */
function ownProc(): string {
  const proc = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-proc-"));
  mkdirSync(join(proc, "self", "ns"), { recursive: true });
  symlinkSync("pid:[4026531836]", join(proc, "self", "ns", "pid"));
  mkdirSync(join(proc, "1"));
  return proc;
}

asRoot("other work runs while the names in very many mappings are searched", async () => {
  const proc = ownProc();
  try {
    const names = Array.from({ length: 5000 }, (_, index) => `qb-4194999-1-${index}-AbCdEf`);
    const lines = names.map(
      (name) => `7f0000000000-7f0000001000 rw-s 00000000 00:01 1 ${SHM}/${name}/file\n`,
    );
    writeFileSync(join(proc, "1", "maps"), lines.join(""));
    const stale = new StaleDirectories(shm, SHM, proc);
    let pieces = 0;
    using _slices = shortSlices((count) => (pieces = count));
    const found = await Promise.all(names.map((name) => stale.livenessOf(name)));
    expect(new Set(found)).toEqual(new Set(["alive"]));
    expect(pieces).toBeGreaterThan(4);
    expect(await stale.livenessOf("qb-4194999-1-5000-AbCdEf")).toBe("dead");
  } finally {
    rmSync(proc, { recursive: true });
  }
});

asRoot("a process whose mappings cannot be read does not stop the event loop", async () => {
  const proc = ownProc();
  try {
    // A process that holds the lock of its own mappings: reading them waits.
    const name = "qb-4194999-1-1-AbCdEf";
    const maps = join(proc, "1", "maps");
    expect(Bun.spawnSync(["mkfifo", maps]).exitCode).toBe(0);
    const liveness = new StaleDirectories(shm, SHM, proc).livenessOf(name);
    const first = await Promise.race([liveness, Bun.sleep(1).then(() => "the loop")]);
    writeFileSync(maps, `7f0000000000-7f0000001000 rw-s 00000000 00:01 1 ${SHM}/${name}/file\n`);
    expect(first).toBe("the loop");
    expect(await liveness).toBe("alive");
  } finally {
    rmSync(proc, { recursive: true });
  }
});

/** A mount namespace with its own /dev/shm, which other processes join. */
class SharedShm implements AsyncDisposable {
  readonly #holder: LineProcess<object>;

  private constructor(holder: LineProcess<object>) {
    this.#holder = holder;
  }

  static async make(): Promise<SharedShm> {
    const script = "mount -t tmpfs tmpfs /dev/shm && echo '{}' && exec sleep 600";
    const holder = new LineProcess<object>(["unshare", "-m", "sh", "-c", script]);
    await holder.next();
    return new SharedShm(holder);
  }

  /** Its path in this process's namespace. */
  get path(): string {
    return `/proc/${this.#holder.pid}/root/dev/shm`;
  }

  /** The words that run a command in it. */
  get enter(): string[] {
    return ["nsenter", "-t", String(this.#holder.pid), "-m", "--"];
  }

  /** Directories of clients of servers that are pid 1 of their namespace. */
  get ofClients(): string[] {
    return readdirSync(this.path).filter((each) => /^qb-1-\d+-[1-9]/.test(each));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#holder.kill();
  }
}

/** An echo server that is pid 1 of its own pid namespace, with its own network. */
class PidOne implements AsyncDisposable {
  readonly #parent: Bun.Subprocess;
  /** Its pid in this process's namespace. */
  readonly pid: number;

  private constructor(parent: Bun.Subprocess, pid: number) {
    this.#parent = parent;
    this.pid = pid;
  }

  static async start(shared: SharedShm, name: string): Promise<PidOne> {
    const isolate = ["unshare", "-n", "-p", "-f", "--kill-child", "--mount-proc"];
    const command = [...shared.enter, ...isolate, ...echoCommand(name)];
    const parent = Bun.spawn(command, { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
    const pid = await eventually("the first process of a namespace", async () => {
      const path = `/proc/${parent.pid}/task/${parent.pid}/children`;
      return Number((await Bun.file(path).text()).trim()) || undefined;
    });
    const look = ["nsenter", "-t", String(pid), "-n", "cat", "/proc/net/unix"];
    await eventually(`${name} listening`, () => {
      return Bun.spawnSync(look).stdout.toString().includes(`@${name}`);
    });
    return new PidOne(parent, pid);
  }

  /** The words that run a command beside it. */
  get enter(): string[] {
    return ["nsenter", "-t", String(this.pid), "-m", "-n", "--"];
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    process.kill(this.pid, signal);
    await this.#parent.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#parent.kill("SIGKILL");
    await this.#parent.exited;
  }
}

asRoot(
  "of two servers that share /dev/shm, both pid 1, only the dead one's is removed",
  async () => {
    await using shared = await SharedShm.make();
    const name = uniqueName("shared");
    using _status = { [Symbol.dispose]: () => removeStatus(name) };
    await using first = await PidOne.start(shared, name);
    await using client = new LineProcess<{ res: number }>([
      ...first.enter,
      native("qb-client"),
      name,
    ]);
    expect((await client.next()).res).toBe(0);
    const before = shared.ofClients;
    expect(before).toHaveLength(1);
    {
      await using second = await PidOne.start(shared, name);
      expect((await client.ask("sendrecv 1 00")).res).toBeGreaterThan(0);
      // A server checks all directories before it ends.
      await second.end("SIGTERM");
    }
    expect(shared.ofClients).toEqual(before);
    expect((await client.ask("sendrecv 1 00")).res).toBeGreaterThan(0);
    await first.end("SIGKILL");
    expect(shared.ofClients).toEqual(before);
    await using _third = await PidOne.start(shared, name);
    await eventually("nothing of the first", () => shared.ofClients.length === 0);
  },
);

asRoot("200,000 names of other users in /dev/shm do not delay a start", async () => {
  await using shared = await SharedShm.make();
  const name = uniqueName("crowd");
  // Directories cost more time than files: some of each kind of name.
  for (let i = 0; i < 200_000; i++) {
    const suffix = i % 2 === 0 ? "abcdef" : "0123456789ab";
    const path = `${shared.path}/qb-${4_000_000 + i}-1-1-${suffix}`;
    if (i % 100 < 2) mkdirSync(path);
    else writeFileSync(path, "");
  }
  const command = [...shared.enter, ...echoCommand(name)];
  const server = Bun.spawn(command, { stdin: "ignore", stderr: "ignore" });
  try {
    await eventually("it listens", () => isListening(name));
    const connect = [...shared.enter, native("qb-client"), name];
    await using client = new LineProcess<{ res: number }>(connect);
    expect((await client.next()).res).toBe(0);
    // It answers while most of them are not checked yet.
    expect((await client.ask("sendrecv 1 00")).res).toBeGreaterThan(0);
  } finally {
    server.kill("SIGTERM");
    expect(await server.exited).toBe(0);
  }
});
