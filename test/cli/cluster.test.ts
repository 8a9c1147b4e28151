/** The lines of `cluster watch`, and `cluster status` beside an /etc/pve that hangs. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { equalTrees, eventText, verdictText } from "../../src/cli/cluster.ts";
import type { CorosyncView } from "../../src/tools/cluster/corosync-view.ts";
import { readConfigFiles, reportOf } from "../../src/tools/cluster/report.ts";
import { statusText } from "../../src/tools/cluster/text.ts";
import { PROGRAM, sandbox, shell } from "../check/support/run.ts";
import { corosyncConf } from "../corosync/support/corosync-conf.ts";
import { testUnless } from "../support/unless.ts";

test("control characters in any field of an event are escaped", () => {
  const odd = "\u001B[2J";
  const shown = String.raw`\x1b[2J`;
  const common = { time: odd, group: odd };
  expect(eventText({ ...common, kind: "message", from: odd, text: odd })).toBe(
    `${shown} ${shown} ${shown} ${shown}`,
  );
  expect(eventText({ ...common, kind: "members", members: [odd, "1/2"] })).toBe(
    `${shown} ${shown} members ${shown}, 1/2`,
  );
  expect(eventText({ ...common, kind: "mode", mode: odd })).toBe(`${shown} ${shown} mode ${shown}`);
});

/** A server that ends a watcher's connection after one event. */
const ENDING = `require("node:net").createServer((socket) => socket.once("data", () => {
  socket.end('{"time":"t","group":"dcdb","kind":"mode","mode":"synced"}\\n');
})).listen("/run/pmxcfs-ipc/svc.cluster");`;

testUnless(process.getuid?.() === 0 ? undefined : "needs root, for a mount namespace")(
  "cluster watch fails when the server ends the connection",
  async () => {
    const { out, error } = await sandbox(`mount -t tmpfs tmpfs /run; mkdir /run/pmxcfs-ipc
      ${shell([process.execPath, "-e", ENDING])} & await test -S /run/pmxcfs-ipc/svc.cluster
      code=0; ${shell(PROGRAM)} cluster watch --socket svc || code=$?
      echo "exit $code"`);
    expect(out).toBe("t dcdb mode synced\nexit 1\n");
    expect(error).toMatch(/^pmxcfs-ipc: the server has ended the connection: /);
  },
);

test("a verification finds a member that has left, also when it is back already", () => {
  const [one, two] = [
    { nodeid: 1, pid: 7 },
    { nodeid: 2, pid: 8 },
  ];
  const epoch = { nodeid: 1, pid: 7, counter: 3, time: 1 };
  const later = { ...epoch, counter: 5 };
  const before = { members: [one, two], mode: "synced", epoch } as const;
  expect(equalTrees(before, before)).toBe(true);
  expect(equalTrees(before, { ...before, members: [one], epoch: later })).toBe(false);
  expect(equalTrees(before, { ...before, epoch: later })).toBe(false);
  expect(equalTrees(before, { ...before, mode: "start-sync", epoch: later })).toBe(false);
});

test("no member is said to differ because a server does not answer, or because one joins", () => {
  const [one, two] = [
    { nodeid: 1, pid: 7 },
    { nodeid: 2, pid: 8 },
  ];
  const epoch = { nodeid: 1, pid: 7, counter: 3, time: 1 };
  const before = { members: [one], mode: "synced", epoch } as const;
  const joined = { members: [one, two], mode: "synced", epoch: { ...epoch, counter: 4 } } as const;
  expect(equalTrees(before, joined)).toBeUndefined();
  expect(equalTrees(before, { ...before, mode: "start-sync" })).toBeUndefined();
  expect(equalTrees(before, undefined)).toBeUndefined();
  expect(equalTrees(undefined, before)).toBeUndefined();
});

test("the result of a verification names the number of members", () => {
  expect(verdictText(3, true)).toBe("3 members compared their trees");
  expect(verdictText(1, true)).toBe("this node is the only member");
  expect(verdictText(2, false)).toBe("a member differed and left");
});

const CONF = corosyncConf(1, () => "192.0.2.1", 1);

/** A single node that is quorate and whose groups have its server. */
function quorateView(): CorosyncView {
  const members = [{ nodeid: 1, pid: 7 }];
  const node = { id: 1, name: "n1", votes: 1, addresses: ["192.0.2.1"] };
  return {
    facts: { clusterName: "test", configVersion: 1, nodes: [node] },
    groups: { dcdb: members, status: members },
    partition: [1],
    nodeid: 1,
    quorate: true,
    running: [],
    holdMs: 0,
  };
}

test("an /etc/pve that does not answer is a problem, and does not stop the status", async () => {
  const directory = mkdtempSync(join(tmpdir(), "cluster-status-"));
  try {
    const [host, tree] = [join(directory, "host.conf"), join(directory, "tree.conf")];
    writeFileSync(host, CONF);
    writeFileSync(tree, CONF);
    const read = await readConfigFiles({ host, tree });
    expect([read.host?.configVersion, read.tree?.configVersion]).toEqual([1, 1]);
    expect(statusText(reportOf(quorateView(), read, undefined))).toContain("no problem found");
    // A FIFO without a writer blocks its reader, as a mount whose server is stopped.
    rmSync(tree);
    expect(Bun.spawnSync(["mkfifo", tree]).exitCode).toBe(0);
    const silent = await readConfigFiles({ host, tree }, 100);
    expect([silent.host?.configVersion, silent.tree, silent.isTreeSilent]).toEqual([
      1,
      undefined,
      true,
    ]);
    const { problems } = reportOf(quorateView(), silent, undefined);
    expect(problems).toEqual(["/etc/pve does not answer: see pmxcfs-ipc --check"]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
