/** A node whose name is not the host's: its server, one of ours, was started with --node. */
import { needRoot } from "../support/identity.ts";
import { DIRECTORY, FILE, nodeTree, type Row, writeDatabase } from "./support/database.ts";
import { codesOf, expectFound, PROGRAM, shell, type Told, told } from "./support/run.ts";
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

needRoot();

const directory = mkdtempSync(join(tmpdir(), "check-given-node-"));
afterAll(() => rmSync(directory, { recursive: true }));

const OF_PVE = "/var/lib/pve-cluster/config.db";

/** A host called localhost, whose /etc/hosts has an address of pve1 only. */
const HOST = `own_etc
  hostname localhost
  mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /var/lib; mkdir /var/lib/pve-cluster
  printf '127.0.0.1 localhost\\n192.0.2.1 pve1\\n' > /etc/hosts
  printf 'hosts: files\\n' > /etc/nsswitch.conf
`;

/** Starts a server of ours, with these words more. */
function serve(service: string, ...more: string[]): string {
  const off = ["--restart-flag", "off", "--status", "off"];
  const words = [...PROGRAM, "serve", "--socket", service, ...off, ...more];
  return `${shell(words)} > /dev/null 2>&1 & await listening ${service}
  `;
}

/** The check of a served config.db with these rows. */
async function examined(rows: readonly Row[], only: string, ...node: string[]): Promise<Told> {
  const path = join(directory, `config-${rows.length}.db`);
  rmSync(path, { force: true });
  writeDatabase(path, rows);
  return await told(`${HOST} cp ${path} ${OF_PVE}; chmod 0600 ${OF_PVE}
    ${serve("pve2", "--db", OF_PVE, ...node)} $CHECK --only ${only} --json || true`);
}

test.each(["--node pve1", "--node=pve1"])(
  "a directory of the given node is enough, on a host called localhost: %s",
  async (given) => {
    const report = await told(`${HOST} mkdir -p /etc/pve/nodes/pve1
      ${serve("pve2", "--dir", "/etc/pve", ...given.split(" "))}
      $CHECK --only name --json || true`);
    expect(codesOf(report)).toEqual([]);
    expect(report.findings.map(({ text }) => text)).toEqual([
      "pve1 resolves to 192.0.2.1",
      "/etc/pve/nodes/pve1 exists",
    ]);
  },
);

test("the given node without a directory is named, and no host name is suggested", async () => {
  const report = await told(`${HOST} mkdir -p /etc/pve/nodes/localhost
    ${serve("pve2", "--dir", "/etc/pve", "--node", "pve1")} $CHECK --only name --json || true`);
  expectFound(report, "NODE_DIRECTORY_MISSING", {
    line: /^nodes\/pve1 does not exist; there are: localhost$/,
    fix: /^The server was started with --node pve1\. .* rename-node .* OLD-NAME pve1` moves /,
    exit: 1,
  });
});

test("in config.db the given node's directory counts, and its keys", async () => {
  const rows: Row[] = [...nodeTree("pve1"), [9, 0, FILE, "pve-root-ca.pem", "CA"]];
  const report = await examined(rows, "database,files", "--node", "pve1");
  expect(codesOf(report)).toEqual(["NODE_KEYS_MISSING"]);
  expectFound(report, "NODE_KEYS_MISSING", {
    line: /^nodes\/pve1 has no pve-ssl\.key, pve-ssl\.pem$/,
    fix: /^With quorum: `pvecm updatecerts`/,
    exit: 1,
  });
});

test("without the given node's directory in config.db it is missing there", async () => {
  const rows: Row[] = [
    [1, 0, DIRECTORY, "nodes"],
    [2, 1, DIRECTORY, "localhost"],
  ];
  const report = await examined(rows, "database", "--node", "pve1");
  expectFound(report, "NODE_DIRECTORY_MISSING", {
    line: /^nodes\/pve1 does not exist; there are: localhost$/,
    fix: /^The server was started with --node pve1\. /,
    exit: 1,
  });
});

test("the node given to a server of another service is not that of /etc/pve", async () => {
  const report = await told(`${HOST} mkdir -p /etc/pve/nodes/pve1 /dev/shm/other
    ${serve("pve2", "--dir", "/etc/pve", "--node", "pve1")}
    ${serve("svc", "--dir", "/dev/shm/other", "--node", "guest")}
    $CHECK --socket svc --only name --json || true`);
  expect(codesOf(report)).toEqual([]);
});
