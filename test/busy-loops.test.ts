/** The busy loops of a test run end with the run, also if it is killed. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { eventually } from "./support/eventually.ts";
import { isRunning } from "./support/process-state.ts";

const MODULE = join(import.meta.dir, "support/busy-loops.ts");

test("busy loops end when the process that started them is killed", async () => {
  const script = `import { busyLoops } from ${JSON.stringify(MODULE)};
    console.log(JSON.stringify(busyLoops().map(({ pid }) => pid)));
    await Bun.stdin.text();`;
  const child = Bun.spawn([process.execPath, "-e", script], { stdin: "pipe", stdout: "pipe" });
  const { value } = await child.stdout.getReader().read();
  const loops = JSON.parse(new TextDecoder().decode(value)) as number[];
  expect(loops.map(isRunning)).toEqual([true, true]);
  child.kill("SIGKILL");
  await child.exited;
  await eventually("the loops have ended", () => !loops.some(isRunning));
});
