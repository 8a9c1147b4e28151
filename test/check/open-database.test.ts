/** config.db, examined where it is while other processes have it open. */
import { Database } from "bun:sqlite";
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { needRoot } from "../support/identity.ts";
import { native } from "../support/native.ts";
import { nodeTree, writeDatabase } from "./support/database.ts";
import { check, codesOf, expectFound, shell, type Told, told } from "./support/run.ts";

needRoot();

const directory = mkdtempSync(join(tmpdir(), "check-open-database-"));
afterAll(() => rmSync(directory, { recursive: true }));

function written(name: string): string {
  const path = join(directory, name);
  writeDatabase(path, nodeTree());
  return path;
}

async function examined(database: string): Promise<Told> {
  const paths = { database, lockFile: `${database}.lock` };
  return await check("test-no-server", { only: ["database"], paths });
}

test("a database that is written and checkpointed meanwhile is not found damaged", async () => {
  const path = written("busy.db");
  const script = `import { Database } from "bun:sqlite";
    const database = new Database(process.argv[1]);
    database.run("PRAGMA journal_mode=WAL");
    console.log("writing");
    const pace = new Int32Array(new SharedArrayBuffer(4));
    for (;;) {
      for (let round = 0; round < 5; round++) {
        const inode = 100 + Math.floor(Math.random() * 50);
        const row = [inode, Math.floor(Math.random() * 60_000)];
        database.run(
          "REPLACE INTO tree VALUES (?1, 0, ?1, 0, 0, 8, 'f' || ?1, zeroblob(?2))",
          row,
        );
      }
      database.run("PRAGMA wal_checkpoint");
      Atomics.wait(pace, 0, 0, 20);
    }`;
  const writer = Bun.spawn([process.execPath, "-e", script, path], { stdout: "pipe" });
  try {
    await writer.stdout.getReader().read();
    const severities: string[] = [];
    for (let round = 0; round < 10; round++) {
      const report = await examined(path);
      expect(codesOf(report)).toEqual([]);
      severities.push(...report.findings.map(({ severity }) => severity));
    }
    expect(severities).toContain("pass");
    expect(writer.exitCode).toBe(null);
  } finally {
    writer.kill("SIGKILL");
    await writer.exited;
  }
});

test("DB_WAL_LARGE: the process with an open transaction is named, no other", async () => {
  const path = written("read.db");
  using writer = new Database(path);
  writer.run("PRAGMA journal_mode=WAL");
  const open = (begin: string) =>
    Bun.spawn(
      [
        process.execPath,
        "-e",
        `import { Database } from "bun:sqlite";
         globalThis.database = new Database(process.argv[1]);
         database.run("${begin}"); database.query("SELECT count(*) FROM tree").values();
         console.log("open"); process.stdin.on("data", () => {});`,
        path,
      ],
      { stdin: "pipe", stdout: "pipe" },
    );
  const programs = [open("BEGIN"), open("PRAGMA user_version")];
  try {
    for (const { stdout } of programs) await stdout.getReader().read();
    writer.run("PRAGMA wal_autocheckpoint = 0");
    for (let row = 100; row < 120; row++) {
      writer.run(`INSERT INTO tree VALUES (${row}, 0, 1, 0, 0, 8, 'f${row}', zeroblob(1000000))`);
    }
    expectFound(await examined(path), "DB_WAL_LARGE", {
      line: new RegExp(
        `MiB \\(limit 16 MiB\\); a transaction is open in pid ${programs[0]?.pid} \\([^,]+\\)$`,
      ),
      fix: /^End the reader; /,
      exit: 1,
    });
  } finally {
    for (const program of programs) {
      program.kill("SIGKILL");
      await program.exited;
    }
  }
});

/** What is found of a pmxcfs that has config.db and its -wal open, after `change`. */
async function heldOpen(change: string): Promise<Told> {
  return await told(`mount -t tmpfs tmpfs /var/lib; mkdir /var/lib/pve-cluster
    cd /var/lib/pve-cluster; : > config.db; : > config.db-wal
    cp ${shell([native("qb-faulty-server")])} /dev/shm/pmxcfs
    /dev/shm/pmxcfs svc 8<> config.db 9<> config.db-wal > /dev/null & await listening svc
    ${change}
    $CHECK --socket svc --only DB_REPLACED --json || true`);
}

test("DB_REPLACED: the server writes a file that is not at its path any more", async () => {
  expectFound(await heldOpen("rm config.db"), "DB_REPLACED", {
    line: /^pid \d+ \(pmxcfs\) writes \S+\/config\.db \(deleted\), not \S+\/config\.db$/,
    fix: /^Decide before pve-cluster is restarted\. To keep what is served: `cp -a \/etc\/pve /,
    exit: 2,
  });
  const replaced = await heldOpen(": > other; mv other config.db");
  expect(codesOf(replaced)).toEqual(["DB_REPLACED"]);
  const renamed = await heldOpen("mv config.db old; : > config.db");
  expect(renamed.verdict.text).toMatch(/ writes a file that was renamed, not /);
  expect(codesOf(await heldOpen("echo x >> config.db"))).toEqual([]);
  // A server of another database.
  expect(codesOf(await heldOpen("mkdir x; mv config.db config.db-wal x"))).toEqual([]);
});

test("the size of the -wal is that beside the file to which a symlink leads", async () => {
  const path = written("linked.db");
  const link = join(directory, "link.db");
  symlinkSync("linked.db", link);
  writeFileSync(`${path}-wal`, "");
  truncateSync(`${path}-wal`, 80 * 1024 * 1024);
  expectFound(await examined(link), "DB_WAL_LARGE", {
    line: /linked\.db-wal has 80 MiB \(limit 16 MiB\)$/,
    fix: /^End the reader; .*linked\.db-wal`$/,
    exit: 1,
  });
});
