/** Files left in the tree: which are listed, and what it costs on a machine with many of them. */
import { Database } from "bun:sqlite";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SalvagedItem } from "../../src/pmxcfs/rescue/salvage.ts";
import { Facts } from "../../src/tools/check/context.ts";
import { localMachine } from "../../src/tools/check/host.ts";
import type { Context } from "../../src/tools/check/probe.ts";
import { filesLeft } from "../../src/tools/check/probes/tree.ts";
import { openNames } from "../../src/tools/check/proc.ts";
import { DEFAULT_OPTIONS } from "../../src/tools/check/check.ts";
import { Session } from "../../src/tools/check/session.ts";
import { FILE, NODE, nodeTree, type Row, writeDatabase } from "./support/database.ts";
import { check, codesOf, expectFound } from "./support/run.ts";

const PROCESSES = 100;
const DESCRIPTORS = 20;
const FILES = 300;
const DAY_S = 86_400;

let proc: string;

beforeAll(() => {
  proc = mkdtempSync(join(tmpdir(), "check-tree-"));
  for (let pid = 1; pid <= PROCESSES; pid++) {
    mkdirSync(join(proc, String(pid), "fd"), { recursive: true });
    for (let fd = 0; fd < DESCRIPTORS; fd++) {
      symlinkSync(`/etc/pve/open-${pid}-${fd}`, join(proc, String(pid), "fd", String(fd)));
    }
  }
  symlinkSync("/etc/pve/.ansible_tmpopen", join(proc, "7", "fd", "99"));
});
afterAll(() => {
  rmSync(proc, { recursive: true });
});

function contextOf(): Context {
  const machine = localMachine({ proc });
  const facts = new Facts(machine, "none");
  const session = new Session("none", 1000);
  return { machine, facts, session, options: DEFAULT_OPTIONS, left: () => 1000 };
}

function itemNamed(name: string): SalvagedItem {
  const mtime = Math.floor(Date.now() / 1000) - DAY_S;
  const row = { inode: 7, parent: 0, version: 7, writer: 0, mtime, type: 8, name };
  return new SalvagedItem(name, undefined, "file", { ...row, data: new Uint8Array(1) });
}

test("a temporary file that a process has open is not listed", async () => {
  const [found] = await filesLeft(
    contextOf(),
    [".ansible_tmpopen", ".ansible_tmpold"].map(itemNamed),
  );
  expect(found?.text).toBe("1 temporary file was left in /etc/pve: /etc/pve/.ansible_tmpold");
});

test("the descriptors of all processes are read once, not once for each file", async () => {
  const items = Array.from({ length: FILES }, (_, index) => itemNamed(`.ansible_tmp${index}`));
  const context = contextOf();
  const times: number[] = [];
  const passes: number[] = [];
  for (let round = 0; round < 3; round++) {
    const started = performance.now();
    openNames(proc);
    const passed = performance.now();
    await filesLeft(context, items);
    passes.push(passed - started);
    times.push(performance.now() - passed);
  }
  // One pass for each file would take FILES times as long as one pass.
  expect(Math.min(...times)).toBeLessThan((Math.max(...passes) * FILES) / 10);
});

function nodeText(name: string, id: number): string {
  const address = `ring0_addr: 192.0.2.${id}`;
  return `node {\n name: ${name}\n nodeid: ${id}\n quorum_votes: 1\n ${address}\n }\n`;
}

test("a change from the future is judged by the clock of the node that made it", async () => {
  const nowS = Math.floor(Date.now() / 1000);
  const conf = `totem {\n cluster_name: c\n config_version: 1\n}\nnodelist {
    ${nodeText(NODE, 1)} ${nodeText("pve2", 2)}}\n`;
  const path = join(proc, "config.db");
  writeDatabase(path, [...nodeTree(), [9, 0, FILE, "corosync.conf", conf]], nowS + 600);
  for (const [writer, code] of [
    [0, "CLOCK_BACKWARDS"],
    [1, "CLOCK_BACKWARDS"],
    [2, "CLUSTER_CLOCK_DIFFERS"],
  ] as const) {
    const database = new Database(path);
    database.run("UPDATE tree SET writer = ? WHERE inode = 0", [writer]);
    database.close();
    const paths = { database: path, lockFile: `${path}.lock` };
    const report = await check("test-none", { only: ["database"], paths });
    expect(codesOf(report)).toEqual([code]);
    const { text } = report.findings.find((finding) => finding.code === code) ?? {};
    if (writer === 2) expect(text).toMatch(/^the clock of node pve2 is \d{3} s ahead of this/);
  }
});

test("NODE_KEYS_MISSING: pveproxy of this node has no certificate, or an empty key", async () => {
  const path = join(proc, "keys.db");
  const rows: Row[] = [
    ...nodeTree(),
    [9, 0, FILE, "pve-root-ca.pem", "CA"],
    [10, 2, FILE, "pve-ssl.key", ""],
  ];
  const paths = { database: path, lockFile: `${path}.lock` };
  writeDatabase(path, rows);
  expectFound(await check("test-none", { only: ["files"], paths }), "NODE_KEYS_MISSING", {
    line: new RegExp(`^nodes/${NODE} has no pve-ssl\\.key, pve-ssl\\.pem$`),
    fix: /^With quorum: `pvecm updatecerts`, then `systemctl restart pveproxy spiceproxy`\.$/,
    exit: 1,
  });
  const database = new Database(path);
  database.run("UPDATE tree SET data = X'6b' WHERE inode = 10");
  database.run("INSERT INTO tree VALUES (11, 2, 1, 0, 0, 8, 'pve-ssl.pem', X'6b')");
  database.close();
  expect(codesOf(await check("test-none", { only: ["files"], paths }))).toEqual([]);
});
