/**
 * How often the store is checked: before every request, or every 0.9 ms for a client that sends
 * requests back to back, whose own changes are in its next answer nevertheless.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Errno } from "../../src/base/errno.ts";
import type { Request } from "../../src/ipc/handler.ts";
import { Access } from "../../src/pmxcfs/requests/access.ts";
import { cfsHandler, STORE_AGE_NS } from "../../src/pmxcfs/requests/handler.ts";
import { REQUESTS } from "../../src/pmxcfs/requests/table.ts";
import { spanOf } from "../../src/wire/struct.ts";
import { memdbOf, servicesOf } from "../support/cfs-services.ts";
import { bodyText, QbClient } from "../support/qb-client.ts";
import { native } from "../support/native.ts";
import { loadService } from "../support/qb-load.ts";
import { program, serveCommand, startService } from "../support/service.ts";
import { testUnless } from "../support/unless.ts";

setDefaultTimeout(60_000);

function request(backToBackNs: number, id = 1): Request {
  const caller = { pid: 1, uid: 0, gid: 0, permissions: "read-write" } as const;
  const peer = {
    caller,
    number: 1,
    sendEvent: () => Errno.ENOTCONN,
    holdRequests() {},
    disconnect() {},
  };
  return { id, backToBackNs, span: spanOf(Buffer.alloc(0)), caller, peer };
}

/** The number of checks for requests at these times, with message id `id`. */
function looksFor(times: readonly number[], isStrict: boolean, id = 1): number {
  let looks = 0;
  const access = new Access({ group: undefined, ownUid: 0 });
  const handler = cfsHandler(servicesOf(memdbOf([])), access, () => looks++, isStrict);
  for (const ns of times) void handler.handle(request(ns, id));
  return looks;
}

test("back-to-back requests over 10 ms cause a check each 0.9 ms, any other request one", () => {
  const start = Bun.nanoseconds() + STORE_AGE_NS;
  const steady = Array.from({ length: 10_000 }, (_, index) => start + index * 1000);
  expect(looksFor(steady, false)).toBe(12);
  expect(looksFor(steady, true)).toBe(10_000);
  const woken = Array.from({ length: 100 }, () => 0);
  expect(looksFor(woken, false)).toBe(100);
});

test("requests for the status, the log and RRD values cause no check of the tree", () => {
  const checked = REQUESTS.filter(({ id }) => looksFor([0], true, id) > 0).map(({ name }) => name);
  expect(checked).toEqual([
    "GET_FS_VERSION",
    "GET_CLUSTER_INFO",
    "GET_GUEST_LIST",
    "GET_CONFIG",
    "GET_GUEST_CONFIG_PROPERTY",
    "VERIFY_TOKEN",
    "GET_GUEST_CONFIG_PROPERTIES",
  ]);
});

test("a client sees its own change of a file in the next answer, 1,000 times", async () => {
  const directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-looks-"));
  try {
    writeFileSync(join(directory, "storage.cfg"), "0");
    await using server = await startService(serveCommand("--dir", directory, "--no-rrd"));
    await using client = await QbClient.open(server.name);
    await using busy = await QbClient.open(server.name);
    // Another client that sends requests back to back keeps the server from being idle.
    const load = busy.run("pipeline 20000 1 -");
    for (let change = 1; change <= 1000; change++) {
      writeFileSync(join(directory, "storage.cfg"), `${change}`);
      expect(bodyText(await client.call(6, "storage.cfg\0"))).toBe(`${change}`);
    }
    expect((await load).received).toBe(20_000);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

/** How many of 5,000 changes by the client were not in its next answer. */
async function staleAnswers(change: "write" | "rename", ...options: string[]): Promise<number> {
  // The fastest changes are those in memory.
  const directory = mkdtempSync("/dev/shm/pmxcfs-ipc-looks-");
  try {
    writeFileSync(join(directory, "storage.cfg"), "00000000");
    await using server = await startService(
      serveCommand("--dir", directory, "--no-rrd", ...options),
    );
    const words = [server.name, directory, "storage.cfg", "5000", "20", change];
    const client = Bun.spawn([native("qb-own-changes"), ...words], { stderr: "inherit" });
    const { stale } = JSON.parse(await client.stdout.text()) as { stale: number };
    expect(await client.exited).toBe(0);
    return stale;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test("a client that replaces a file sees the change in the next answer, 5,000 times", async () => {
  expect(await staleAnswers("rename")).toBe(0);
});

test("with --strict-reads, also a client that writes to an open file", async () => {
  expect(await staleAnswers("write", "--strict-reads")).toBe(0);
});

/** The system calls of a check of the store, by the kernel's names. */
const LOOKS = ["read", "pread64", "newfstatat", "newfstat", "statx", "fcntl", "openat", "lseek"];
/** The system call that wakes a client. */
const WAKE = "futex";

/** Why system calls cannot be counted here; undefined when they can. */
function noPerf(): string | undefined {
  if (Bun.which("perf") === null) return "needs perf, to count system calls";
  const tried = Bun.spawnSync(["perf", "stat", "-e", "syscalls:sys_enter_read", "true"]);
  return tried.success ? undefined : "perf may not count system calls here";
}

const traced = testUnless(noPerf());

/** System calls per 1,000 back-to-back requests of one client. */
interface Counted {
  readonly looks: number;
  /** How often the client had to be woken for a reply. */
  readonly wakes: number;
}

async function callsPerThousand(service: string, pid: number): Promise<Counted> {
  const directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-perf-"));
  const out = join(directory, "out");
  try {
    const events = [...LOOKS, WAKE].map((name) => `syscalls:sys_enter_${name}`).join(",");
    const words = ["stat", "-x", ",", "-e", events, "-p", String(pid), "-o", out];
    const counting = Bun.spawn(["perf", ...words, "--", "sleep", "0.6"], { stderr: "inherit" });
    const { requests } = await loadService(service, "--id", "1", "--ms", "300");
    expect(await counting.exited).toBe(0);
    const counted = { looks: 0, wakes: 0 };
    for (const line of readFileSync(out, "latin1").split("\n")) {
      const count = Number.parseInt(line, 10) || 0;
      const kind = line.includes(`sys_enter_${WAKE},`) ? "wakes" : "looks";
      counted[kind] += (count * 1000) / requests;
    }
    return counted;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Other processes can only add to it: a client that is not scheduled sends no requests. */
const ATTEMPTS = 20;

for (const kind of ["--dir", "--db"]) {
  // How often a client sleeps is the scheduler's choice, and what it asks then is always checked.
  // Before the time of a reply was taken before its client could see it, 33 to 82.
  traced(
    `serve ${kind}: at most 30 looks per 1,000 requests of clients that are awake`,
    async () => {
      const directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-looks-"));
      try {
        const tree = join(directory, "tree");
        const config = join(directory, "config.db");
        mkdirSync(tree);
        writeFileSync(join(tree, "storage.cfg"), "x");
        Bun.spawnSync([...program(), "config", "import", "--db", config, tree]);
        const store = kind === "--dir" ? tree : config;
        await using server = await startService(serveCommand(kind, store, "--no-rrd"));
        let least = Infinity;
        for (let attempt = 0; attempt < ATTEMPTS && least > 30; attempt++) {
          const { looks, wakes } = await callsPerThousand(server.name, server.pid);
          least = Math.min(least, looks - wakes);
        }
        expect(least).toBeLessThan(30);
      } finally {
        rmSync(directory, { recursive: true });
      }
    },
  );
}

traced("serve --dir --strict-reads looks before every request", async () => {
  const directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-looks-"));
  try {
    const command = serveCommand("--dir", directory, "--no-rrd", "--strict-reads");
    await using server = await startService(command);
    let most = 0;
    for (let attempt = 0; attempt < ATTEMPTS && most < 500; attempt++) {
      const { looks } = await callsPerThousand(server.name, server.pid);
      most = Math.max(most, looks);
    }
    // Fewer than 1,000 if perf began after the first requests.
    expect(most).toBeGreaterThanOrEqual(500);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
