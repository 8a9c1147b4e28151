/** A test file that is interrupted: it ends at once, and nothing of it stays. */
import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { statusPath } from "../src/observe/status.ts";
import { eventually } from "./support/eventually.ts";
import { runFile } from "./support/file-run.ts";
import { REPOSITORY } from "./support/native.ts";
import { isRunning } from "./support/process-state.ts";

test("an interrupted file is killed with its processes, and their rings go", async () => {
  const root = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-file-run-"));
  try {
    const begun = join(root, "pids");
    writeFileSync(begun, "");
    writeFileSync(
      join(root, "hangs.test.ts"),
      `import { mkdirSync, writeFileSync } from "node:fs";
       import { test } from "bun:test";
       import { dirname } from "node:path";
       import { statusPath } from ${JSON.stringify(join(REPOSITORY, "src/observe/status.ts"))};
       test("never ends", async () => {
         const child = Bun.spawn(["sleep", "600"]);
         const tied = Bun.spawn(["setpriv", "--pdeathsig", "KILL", "sleep", "600"]);
         mkdirSync("/dev/shm/qb-" + tied.pid + "-0-0-tied");
         mkdirSync("/dev/shm/qb-" + child.pid + "-0-0-left/inside", { recursive: true });
         const status = statusPath("test-" + process.pid + "-0", process.env, process.getuid());
         mkdirSync(dirname(status), { recursive: true });
         writeFileSync(status, "");
         const pids = [process.pid, child.pid, tied.pid];
         writeFileSync(${JSON.stringify(begun)}, JSON.stringify(pids));
         await new Promise(() => {});
       });`,
    );
    const interrupt = new AbortController();
    const run = runFile(root, "hangs.test.ts", interrupt.signal);
    const pids = await eventually("the test has begun", () => {
      const text = readFileSync(begun, "utf8");
      return text === "" ? undefined : (JSON.parse(text) as number[]);
    });
    // setpriv asks for the signal before it becomes sleep.
    const comm = `/proc/${pids[2]}/comm`;
    await eventually("it ends with its parent", () => readFileSync(comm, "utf8") === "sleep\n");
    expect(pids.map(isRunning)).toEqual([true, true, true]);
    interrupt.abort();
    const { failed, complaints } = await run;
    expect(complaints).toContain("interrupted");
    expect(complaints).toContainEqual(
      expect.stringMatching(/^left process \d+ running: sleep 600/),
    );
    const rings = [`/dev/shm/qb-${pids[1]}-0-0-left`, `/dev/shm/qb-${pids[2]}-0-0-tied`];
    expect(complaints).toEqual(expect.arrayContaining(rings.map((path) => `left ${path}`)));
    const status = statusPath(`test-${pids[0]}-0`, process.env, process.getuid?.());
    expect(complaints).toContain(`left ${status}`);
    expect([...rings, status ?? ""].some(existsSync)).toBe(false);
    expect(failed).toBe(5);
    await eventually("all have ended", () => !pids.some(isRunning));
  } finally {
    rmSync(root, { recursive: true });
  }
});

test.each([
  ["--rounds", "ten"],
  ["--jobs", "0"],
])("a run of %s %s fails: it would run nothing", (option, word) => {
  const words = [process.execPath, join(REPOSITORY, "test/run.ts"), option, word, "docs/links"];
  const { exitCode, stderr } = Bun.spawnSync(words);
  expect(stderr.toString()).toContain(`${option}: "${word}" is not a whole number from 1`);
  expect(exitCode).not.toBe(0);
});
