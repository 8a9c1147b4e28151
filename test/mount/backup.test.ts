/**
 * Backups of a config.db while it is served and written: complete, consistent and loadable, and the
 * original is not changed. Restore first prints what it would change.
 */
import { expect, setDefaultTimeout } from "bun:test";
import { noPrivateNode, PrivateNode } from "../support/private-node.ts";
import { testUnless } from "../support/unless.ts";

setDefaultTimeout(120_000);
const test = testUnless(noPrivateNode());

const DB = "/var/lib/pve-cluster/config.db";

/** Renames write the same number to a, then to b: in a consistent copy a is b or b + 1. */
const WRITER = `cd /etc/pve; i=0; while [ ! -e /tmp/stop ]; do i=$((i+1))
  echo $i > t; mv t a; echo $i > t; mv t b; done`;

test("backups of a database that is being written are consistent; --keep limits them", async () => {
  await using node = await PrivateNode.start();
  const server = await node.serve("pmxcfs", "-l", "-f");
  await node.sh("mkdir -p /etc/pve/nodes/pve1/qemu-server /tmp/backups; echo 0 > /etc/pve/a");
  await node.sh("echo 0 > /etc/pve/b; echo 'name: a' > /etc/pve/nodes/pve1/qemu-server/100.conf");
  const writer = node.spawn(["bash", "-c", WRITER]);
  const lines = await node.sh(`for i in 1 2 3 4 5; do
      pmxcfs-ipc config backup /tmp/backups --keep 3 || echo failed; done`);
  expect(lines).not.toContain("failed");
  expect(lines.split("\n")).toHaveLength(5);
  expect(lines).toMatch(
    /config-\d{8}T\d{6}Z\S*\.db: version \d+, checksum [0-9a-f]{64}, [34] files/,
  );
  const judged = await node.sh(`cd /tmp/backups; for f in *; do
      pmxcfs-ipc config verify --db $f | tail -n 1
      echo $(( $(pmxcfs-ipc config cat --db $f a) - $(pmxcfs-ipc config cat --db $f b) )); done`);
  expect(judged.match(/: sound$/gm)).toHaveLength(3);
  expect(judged.split("\n").filter((line) => /^-?\d+$/.test(line))).toHaveLength(3);
  expect(judged).not.toMatch(/^(?:-|[2-9]|\d\d)\d*$/m);
  await node.sh("touch /tmp/stop");
  await writer.child.exited;
  expect(await node.stop(server)).toBe(0);
});

test("a backup does not change the database, and does not overwrite a file", async () => {
  await using node = await PrivateNode.start();
  const server = await node.serve("pmxcfs", "-l", "-f");
  // The checkpoint after the last change writes config.db, and at its end config.db-shm.
  await node.sh(`for i in $(seq 50); do echo $i > /etc/pve/f$i; done; cd /var/lib/pve-cluster
    until [ config.db -nt config.db-wal ]; do sleep 0.1; done; sleep 1`);
  const state = `cd /var/lib/pve-cluster
    stat -c '%n %i %s %y %z %a' config.db*; sha256sum config.db*`;
  const before = await node.sh(state);
  await node.sh("pmxcfs-ipc config backup /tmp/b.db");
  expect(await node.sh(state)).toBe(before);
  const again = await node.run(["pmxcfs-ipc", "config", "backup", "/tmp/b.db"]);
  expect([again.exitCode, again.stderr]).toEqual([
    1,
    `pmxcfs-ipc: ${DB}: /tmp/b.db already exists: name another file, or a directory\n`,
  ]);
  expect(await node.stop(server)).toBe(0);
});

test("restore shows its changes, refuses while served, and keeps the old database", async () => {
  await using node = await PrivateNode.start();
  const server = await node.serve("pmxcfs", "-l", "-f");
  await node.sh("cd /etc/pve; echo old > storage.cfg; echo x > goes; mkdir -p nodes/pve1/lxc");
  await node.sh("rm /etc/pve/goes; echo 'hostname: a' > /etc/pve/nodes/pve1/lxc/200.conf");
  await node.sh("pmxcfs-ipc config backup /tmp/b.db");
  await node.sh("cd /etc/pve; echo newer > storage.cfg; rm nodes/pve1/lxc/200.conf; echo n > new");
  const shown = await node.run(["pmxcfs-ipc", "config", "restore", "/tmp/b.db"]);
  expect(shown.stdout).toBe(
    "- new  (2 bytes)\n+ nodes/pve1/lxc/200.conf  (12 bytes)\n" +
      "! storage.cfg  (6 -> 4 bytes)\n3 differences\n",
  );
  expect([shown.exitCode, shown.stderr]).toEqual([
    1,
    "nothing was restored: add --yes to restore\n",
  ]);
  const served = await node.run(["pmxcfs-ipc", "config", "restore", "/tmp/b.db", "--yes"]);
  expect(served.stderr).toMatch(/another pmxcfs \(pid \d+.*stop it first/);
  expect(await node.stop(server)).toBe(0);
  const done = await node.run(["pmxcfs-ipc", "config", "restore", "/tmp/b.db", "--yes"]);
  expect(done.stdout).toContain(`${DB}: restored, version `);
  const kept = /kept as (\S+)/.exec(done.stderr)?.[1] ?? "";
  expect(await node.sh(`pmxcfs-ipc config cat --db ${kept} new`)).toBe("n");
  const again = await node.serve("pmxcfs", "-l", "-f");
  expect(await node.sh("cat /etc/pve/storage.cfg /etc/pve/nodes/pve1/lxc/200.conf")).toBe(
    "old\nhostname: a",
  );
  expect(await node.stop(again)).toBe(0);
});
