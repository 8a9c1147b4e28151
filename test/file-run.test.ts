/** A test file that is interrupted: it ends at once, and nothing of it stays. */
import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "./support/eventually.ts";
import { runFile } from "./support/file-run.ts";
import { isRunning } from "./support/process-state.ts";

test("an interrupted file is killed, and so are the processes that it started", async () => {
  const root = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-file-run-"));
  try {
    const begun = join(root, "pids");
    writeFileSync(begun, "");
    writeFileSync(
      join(root, "hangs.test.ts"),
      `import { writeFileSync } from "node:fs";
       import { test } from "bun:test";
       test("never ends", async () => {
         const child = Bun.spawn(["sleep", "600"]);
         writeFileSync(${JSON.stringify(begun)}, JSON.stringify([process.pid, child.pid]));
         await new Promise(() => {});
       });`,
    );
    const interrupt = new AbortController();
    const run = runFile(root, "hangs.test.ts", interrupt.signal);
    const pids = await eventually("the test has begun", () => {
      const text = readFileSync(begun, "utf8");
      return text === "" ? undefined : (JSON.parse(text) as number[]);
    });
    expect(pids.map(isRunning)).toEqual([true, true]);
    interrupt.abort();
    const { failed, complaints } = await run;
    expect(complaints).toContain("interrupted");
    expect(complaints).toContainEqual(
      expect.stringMatching(/^left process \d+ running: sleep 600/),
    );
    expect(failed).toBe(2);
    await eventually("both have ended", () => !pids.some(isRunning));
  } finally {
    rmSync(root, { recursive: true });
  }
});
