/** A /proc that cannot be read (a chroot, ProcSubset=pid): no false alarm, no wrong fix. */
import { afterAll, afterEach, beforeAll, expect, jest, spyOn, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Server } from "../../src/index.ts";
import { DEFAULT_OPTIONS, runCheck } from "../../src/tools/check/check.ts";
import { Facts } from "../../src/tools/check/context.ts";
import { localMachine, type Machine } from "../../src/tools/check/host.ts";
import type { Report } from "../../src/tools/check/report.ts";
import { uniqueName } from "../support/service.ts";

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "check-no-proc-"));
  // What a mounted /etc/pve shows.
  mkdirSync(join(directory, "pve"));
  writeFileSync(join(directory, "pve", "storage.cfg"), "");
  writeFileSync(join(directory, "config.db"), "");
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});
afterEach(() => {
  jest.restoreAllMocks();
});

function machineWith(proc: string): Machine {
  const [pve, database] = [join(directory, "pve"), join(directory, "config.db")];
  return localMachine({ proc: join(directory, proc), pve, database });
}

async function reportOf(service: string, proc: string): Promise<Report> {
  const only = ["handshake", "listener", "mount"];
  return await runCheck(machineWith(proc), { ...DEFAULT_OPTIONS, service }, { only, skip: [] });
}

function linesOf({ findings }: Report): string[] {
  return findings.map(({ check, severity, code = "" }) => `${check} ${severity} ${code}`.trim());
}

test("a server is found by connecting to it, and the mount is not judged", async () => {
  const service = uniqueName();
  const server = Server.start(service, {
    authenticate: () => "read-write",
    handle: () => Buffer.alloc(0),
  });
  if (!(server instanceof Server)) throw new Error(server.message);
  try {
    const report = await reportOf(service, "none");
    expect(linesOf(report)).toEqual(["listener skip", "handshake pass", "mount skip"]);
  } finally {
    await server.stop();
  }
});

test("without a server the connect is the finding, and the mount is not judged", async () => {
  const report = await reportOf(uniqueName(), "none");
  expect(linesOf(report)).toEqual(["listener fail SOCKET_ABSENT", "listener skip", "mount skip"]);
});

test("a /proc that has only processes shows the listeners below /proc/self", async () => {
  mkdirSync(join(directory, "processes/self/net"), { recursive: true });
  const row = `0: 00000002 00000000 00010000 0001 01 77 @${"test".padEnd(107, "@")}`;
  writeFileSync(join(directory, "processes/self/net/unix"), `${row}\n`);
  const facts = new Facts(machineWith("processes"), "test");
  expect(await facts.seesListeners()).toBe(true);
  expect(await facts.server()).toMatchObject({ kind: "full", inode: 77, owner: undefined });
});

test("the caller's ids are those of the process, not 0", async () => {
  spyOn(process, "getuid").mockReturnValue(1000);
  spyOn(process, "geteuid").mockReturnValue(1001);
  const { realUid, uid } = await new Facts(machineWith("none"), "test").identity();
  expect([realUid, uid]).toEqual([1000, 1001]);
});
