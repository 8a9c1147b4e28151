/**
 * A node with a FIFO, a device or a link in place of its files, or with relative paths: the
 * compiled server names the problem and ends, or serves; it never blocks, and never uses another
 * file.
 */
import { expect, setDefaultTimeout } from "bun:test";
import { noPrivateNode, PrivateNode } from "../support/private-node.ts";
import { testUnless } from "../support/unless.ts";

setDefaultTimeout(120_000);
const test = testUnless(noPrivateNode());

/**
 * Run in /var/lib/pve-cluster with a good config.db; the message with which the server must end.
 */
const REFUSED: readonly (readonly [what: string, said: string])[] = [
  ["mkfifo .pmxcfs.lockfile", ".pmxcfs.lockfile is a FIFO"],
  ["rm config.db; mkfifo config.db", "config.db is a FIFO"],
  ["mkfifo config.db-journal", "config.db-journal is a FIFO"],
  ["mkfifo config.db-wal", "config.db-wal is a FIFO"],
  ["rm config.db; ln -s /dev/zero config.db", "config.db is a device"],
  ["mkfifo config.db.changes", "config.db.changes is a FIFO"],
  ["truncate -s 1T config.db.changes", "config.db.changes has more than"],
];

/** The same for files from options. */
const READ: readonly (readonly [words: string, said: string])[] = [
  ["serve --socket x --status off --node pve1 --corosync-conf /tmp/fifo", "/tmp/fifo is a FIFO"],
  ["serve --socket x --status off --corosync-conf /dev/zero", "/dev/zero is a device"],
  ["history --history /tmp/fifo", "/tmp/fifo is a FIFO"],
  ["config compact --db /tmp/fifo", "is a FIFO"],
];

test("a FIFO, a device or a huge file is named, and the server does not block", async () => {
  await using node = await PrivateNode.start();
  await node.sh(`mkdir -p /tmp/good /var/lib/pve-cluster && echo hi > /tmp/good/storage.cfg &&
    mkfifo /tmp/fifo && pmxcfs-ipc config import --db /tmp/good.db /tmp/good`);
  for (const [make, said] of REFUSED) {
    const { stdout, stderr } = await node.run([
      "bash",
      "-c",
      `cd /var/lib/pve-cluster && rm -rf ./* .pmxcfs.lockfile && cp /tmp/good.db config.db
      ${make}
      timeout -s KILL 30 pmxcfs-ipc serve --mount --commit batched --socket special; echo ended $?`,
    ]);
    expect(stderr, make).toContain(said);
    expect(stdout, make).toBe("ended 1\n");
  }
  for (const [words, said] of READ) {
    const run = `timeout -s KILL 30 pmxcfs-ipc ${words}; echo ended $?`;
    const { stdout, stderr } = await node.run(["bash", "-c", run]);
    expect(stderr, words).toContain(said);
    expect(stdout, words).toBe("ended 1\n");
  }
});

test("relative paths are relative to the directory in which a mounting server starts", async () => {
  await using node = await PrivateNode.start();
  await node.sh(`mkdir -p /tmp/here/src && cd /tmp/here && echo hi > src/storage.cfg &&
    pmxcfs-ipc config import --db config.db src`);
  const server = await node.serve(
    "bash",
    "-c",
    `cd /tmp/here && exec pmxcfs-ipc serve --mount mnt --db config.db --history kept.db \
      --metrics-textfile m.prom --status s.status`,
  );
  expect(await node.sh("cat /tmp/here/mnt/storage.cfg")).toBe("hi");
  expect(await node.sh("pmxcfs-ipc call get-config storage.cfg")).toBe("hi");
  const kept = await node.sh("cd /tmp/here && stat -c %n kept.db m.prom s.status");
  expect(kept).toBe("kept.db\nm.prom\ns.status");
  expect(await node.run(["test", "-e", "/config.db"])).toMatchObject({ exitCode: 1 });
  expect(await node.stop(server, "pmxcfs-ipc")).toBe(0);
});

test("a manipulated history cannot make restore write outside the mount", async () => {
  await using node = await PrivateNode.start();
  const server = await node.serve("pmxcfs", "-l", "-f");
  await node.sh(`echo theirs > /etc/pve/storage.cfg
    until pmxcfs-ipc history storage.cfg >/tmp/listed 2>&1; do sleep 0.1; done`);
  expect(await node.stop(server)).toBe(0);
  const script = `
import sqlite3
db = sqlite3.connect("/var/lib/pve-cluster/history.db")
db.execute("UPDATE change SET path = '../../tmp/led', to_path = NULL WHERE path = 'storage.cfg'")
db.commit()
print(db.execute("SELECT max(version) FROM change WHERE path LIKE '..%'").fetchone()[0])
`;
  const { stdout: version } = await node.run(["python3", "-c", script]);
  const again = await node.serve("pmxcfs", "-l", "-f");
  const words = ["pmxcfs-ipc", "history", "restore", `../../tmp/led@${version.trim()}`];
  const { exitCode, stderr } = await node.run(words);
  expect(stderr).toContain("leads out of /etc/pve");
  expect(exitCode).toBe(1);
  expect(await node.run(["test", "-e", "/tmp/led"])).toMatchObject({ exitCode: 1 });
  expect(await node.stop(again)).toBe(0);
});

test("a history page is not written through a link; only its owner can read it", async () => {
  await using node = await PrivateNode.start();
  const server = await node.serve("pmxcfs", "-l", "-f");
  await node.sh(`echo hi > /etc/pve/storage.cfg; mkdir -m 777 /tmp/theirs; echo keep > /tmp/mine
    ln -s /tmp/mine /tmp/theirs/a.html; touch /tmp/theirs/b.html; chmod 666 /tmp/theirs/b.html`);
  const { exitCode, stderr } = await node.run(
    "pmxcfs-ipc history --html /tmp/theirs/a.html".split(" "),
  );
  expect([exitCode, stderr]).toEqual([1, expect.stringContaining("is not a regular file")]);
  expect(await node.sh("cat /tmp/mine")).toBe("keep");
  await node.sh("pmxcfs-ipc history --html /tmp/theirs/b.html");
  expect(await node.sh("stat -c %a /tmp/theirs/b.html")).toBe("600");
  expect(await node.stop(server)).toBe(0);
});
