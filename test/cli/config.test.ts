/** `pmxcfs-ipc config` as a process: its output on stdout and stderr, and its exit codes. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { lockFile } from "../../src/platform/files.ts";
import { eventually } from "../support/eventually.ts";
import { TempDirectory } from "../pmxcfs/support.ts";

const SOURCES = join(import.meta.dir, "../../src/cli");
/** Runs the command in a command tree without others. */
const RUNNER = `
  import { configCommand } from "${SOURCES}/config.ts";
  import { commandGroup } from "${SOURCES}/command.ts";
  import { runCommandLine } from "${SOURCES}/main.ts";
  import { print } from "${SOURCES}/terminal.ts";
  const root = commandGroup({ name: "t", summary: "t" }, { config: async () => configCommand });
  const stage = { out: print, err: (text) => process.stderr.write(text), debug: false };
  process.exitCode = await runCommandLine(process.argv.slice(1), stage, root);
`;

function config(directory: TempDirectory, ...words: readonly string[]) {
  const command = [process.execPath, "-e", RUNNER, "config", ...words];
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { cwd: directory.path });
  return { exitCode, out: stdout.toString("latin1"), err: stderr.toString() };
}

/** Makes config.db from three files. */
function makeDatabase(directory: TempDirectory): void {
  directory.put("pve/storage.cfg", "dir: local\n");
  directory.put("pve/priv/token.cfg", "root@pam!a b\n");
  directory.put("pve/nodes/pve1/lxc/200.conf", Buffer.from([0, 0xff, 10]));
  expect(config(directory, "import", "pve", "--db", "config.db").exitCode).toBe(0);
}

test("ls, cat, export and verify show the tree that import has stored", () => {
  using directory = new TempDirectory();
  makeDatabase(directory);
  expect(config(directory, "ls", "--db", "config.db").out).toBe(
    "nodes/\nnodes/pve1/\nnodes/pve1/lxc/\nnodes/pve1/lxc/200.conf\n" +
      "priv/\npriv/token.cfg\nstorage.cfg\n",
  );
  expect(config(directory, "ls", "-l", "--db", "config.db", "/priv//").out).toMatch(
    /^0700 {8}0 [-0-9]+T[:0-9]+Z v6 priv\/\n0600 {7}13 \S+ v7 priv\/token.cfg\n$/,
  );
  const cat = config(directory, "cat", "--db", "config.db", "nodes/pve1/lxc/200.conf");
  expect(cat).toEqual({ exitCode: 0, out: "\0\xff\n", err: "" });
  expect(config(directory, "export", "--db", "config.db", "out")).toEqual({
    exitCode: 0,
    out: "out: 3 files in 4 directories\n",
    err: "",
  });
  expect(readFileSync(directory.at("out/storage.cfg"), "utf8")).toBe("dir: local\n");
  expect(statSync(directory.at("out/priv/token.cfg")).mode & 0o777).toBe(0o600);
  expect(config(directory, "verify", "--db", "config.db")).toEqual({
    exitCode: 0,
    out: "config.db: 3 files in 4 directories, 27 bytes: sound\n",
    err: "",
  });
});

test("ls --json prints one object per entry", () => {
  using directory = new TempDirectory();
  makeDatabase(directory);
  const { exitCode, out } = config(directory, "ls", "--json", "--db", "config.db", "priv");
  const rows = out.trimEnd().split("\n");
  expect(rows.map((row) => JSON.parse(row) as unknown)).toEqual([
    {
      path: "priv",
      type: "directory",
      size: 0,
      mode: "0700",
      mtime: expect.any(Number),
      version: 6,
    },
    {
      path: "priv/token.cfg",
      type: "file",
      size: 13,
      mode: "0600",
      mtime: expect.any(Number),
      version: 7,
    },
  ]);
  expect(exitCode).toBe(0);
  const both = config(directory, "ls", "--json", "-l", "--db", "config.db");
  expect(both).toEqual({
    exitCode: 2,
    out: "",
    err: "pmxcfs-ipc: --json and --long: only one of them\n",
  });
});

test("import --force refuses a database that a server has open, and leaves it alone", async () => {
  using directory = new TempDirectory();
  makeDatabase(directory);
  const sleep = Bun.which("sleep") ?? "";
  const script = `cp ${sleep} pmxcfs && exec 3<> config.db && exec ./pmxcfs 60`;
  const server = Bun.spawn(["sh", "-c", script], { cwd: directory.path });
  try {
    await eventually("it has the name of a server", () => {
      return readFileSync(`/proc/${server.pid}/comm`, "latin1") === "pmxcfs\n";
    });
    const before = readFileSync(directory.at("config.db"));
    const { exitCode, out, err } = config(
      directory,
      "import",
      "--force",
      "pve",
      "--db",
      "config.db",
    );
    expect(err).toMatch(
      /^pmxcfs-ipc: another pmxcfs \(pid \d+, .*\) uses config\.db: stop it first/,
    );
    expect({ exitCode, out }).toEqual({ exitCode: 1, out: "" });
    expect(readFileSync(directory.at("config.db")).equals(before)).toBe(true);
  } finally {
    server.kill("SIGKILL");
    await server.exited;
  }
  expect(config(directory, "import", "--force", "pve", "--db", "config.db").exitCode).toBe(0);
});

test.each([
  ["import --force", ["import", "--force", "pve", "--db", "config.db"]],
  ["restore", ["restore", "copy.db", "--db", "config.db", "--yes"]],
  ["rename-node", ["rename-node", "--db", "config.db", "pve1", "new"]],
])("%s waits for the lock of a server that is starting", async (_, words) => {
  using directory = new TempDirectory();
  makeDatabase(directory);
  expect(config(directory, "backup", "copy.db", "--db", "config.db").exitCode).toBe(0);
  const before = readdirSync(directory.path).toSorted();
  const lock = openSync(directory.at(".pmxcfs.lockfile"), "a", 0o600);
  expect(lockFile(lock)).toBe(0);
  const log = directory.put("log");
  const command = [process.execPath, "-e", RUNNER, "config", ...words];
  const running = Bun.spawn(command, {
    cwd: directory.path,
    stdout: "ignore",
    stderr: Bun.file(log),
  });
  await eventually("it waits", () => readFileSync(log, "utf8").includes("trying again"));
  expect(readdirSync(directory.path).toSorted()).toEqual(
    [...before, ".pmxcfs.lockfile", "log"].toSorted(),
  );
  closeSync(lock);
  expect(await running.exited).toBe(0);
  expect(readFileSync(log, "utf8")).toMatch(
    /(?:the old database|a copy) is kept as config\.db\.bak-/,
  );
});

test("import of a new file takes no lock: the printed fixes hold it meanwhile", () => {
  using directory = new TempDirectory();
  makeDatabase(directory);
  const lock = openSync(directory.at(".pmxcfs.lockfile"), "a", 0o600);
  expect(lockFile(lock)).toBe(0);
  expect(config(directory, "import", "pve", "--db", "new.db").exitCode).toBe(0);
  closeSync(lock);
});

test("export writes into the directory that is meant, however its path is written", () => {
  using directory = new TempDirectory();
  makeDatabase(directory);
  mkdirSync(directory.at("empty/below"), { recursive: true });
  const paths = [
    ["empty/below/.", "empty/below"],
    ["new/sub/..", "new"],
    ["gerettet-ü", "gerettet-ü"],
    ["救出/二", "救出/二"],
  ] as const;
  for (const [path, meant] of paths) {
    const exported = config(directory, "export", "--db", "config.db", path);
    expect(exported, path).toMatchObject({ exitCode: 0, err: "" });
    expect(readdirSync(directory.at(meant)).toSorted(), path).toEqual([
      "nodes",
      "priv",
      "storage.cfg",
    ]);
  }
});

test("a problem of the database is printed by export and verify, with exit code 1", () => {
  using directory = new TempDirectory();
  makeDatabase(directory);
  {
    using database = new Database(directory.at("config.db"));
    database.run(
      "INSERT INTO tree VALUES (90, 7777, 9, 0, 1, 8, CAST(x'1b5b6dff' AS TEXT), x'61')",
    );
  }
  const missing = "missing directory inode (inode = 0000000000001E61)";
  const exported = config(directory, "export", "--db", "config.db", "out");
  expect(exported.exitCode).toBe(1);
  expect(exported.err).toStartWith(`config.db: ${missing}\n`);
  expect(exported.err).toContain(
    "'\\x1b[m\\xff' is called lost+found/000000000000005A-\\x1b[m\\xff\n",
  );
  expect(exported.out).toBe("out: 4 files in 5 directories\n");
  const verdict = config(directory, "verify", "--db", "config.db");
  expect(verdict.exitCode).toBe(1);
  expect(verdict.out).toContain(`problem: ${missing}\n`);
  const listed = config(directory, "ls", "--db", "config.db", "lost+found");
  expect(listed.out).toBe("lost+found/\nlost+found/000000000000005A-\\x1b[m\\xff\n");
});

test.each([
  [["cat", "--db", "config.db", "missing"], 1, "config.db: no missing in it"],
  [["cat", "--db", "config.db", "priv"], 1, "config.db: priv is a directory"],
  [["ls", "--db", "config.db", "missing"], 1, "config.db: no missing in it"],
  [["ls", "--db", "nothing.db"], 1, "nothing.db: no such file"],
  [["cat", "--db", "config.db", "lxc/200.conf"], 1, 'you mean "nodes/pve1/lxc/200.conf"?'],
  [["cat", "--db", "config.db", "local/priv"], 1, "no local/priv in it"],
  [["cat", "--db", "config.db", "/etc/pve/Storage.cfg"], 1, 'did you mean "storage.cfg"?'],
  [["cat", "--db", "config.db", "storage.conf"], 1, 'did you mean "storage.cfg"?'],
  [["ls", "--db", "config.db", "lxc"], 1, 'did you mean "nodes/pve1/lxc"?'],
  [["import", "pve", "--db", "config.db"], 1, "config.db already exists"],
  [["import", "nowhere", "--db", "new.db"], 1, "ENOENT"],
  [["export", "--db", "config.db", "pve"], 1, "pve is not empty"],
  [["import", "pve"], 2, "--db is missing"],
  [["verify", "--db", "a", "--dir", "b"], 2, "--db or --dir, not both"],
] as const)("%j fails with exit code %p and one line", (words, exitCode, line) => {
  using directory = new TempDirectory();
  makeDatabase(directory);
  const result = config(directory, ...words);
  expect(result).toMatchObject({ exitCode, out: "" });
  expect(result.err).toContain(line);
  expect(result.err.trimEnd().split("\n")).toHaveLength(1);
});
