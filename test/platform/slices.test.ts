/** Short time slices: for this thread only, and only if nobody has chosen another policy. */
import { afterEach, expect } from "bun:test";
import { join } from "node:path";
import { Errno } from "../../src/base/errno.ts";
import { useShortSlices } from "../../src/platform/processors.ts";
import { REPOSITORY } from "../support/native.ts";
import { noSlices, schedulingOf, SHORTEST_SLICE } from "../support/scheduling.ts";
import { testUnless } from "../support/unless.ts";

const noChrt = Bun.which("chrt") === null ? "needs chrt, from util-linux" : undefined;

afterEach(() => {
  useShortSlices(false);
});

testUnless(noSlices())("a thread has short slices as long as it wants, a child never", async () => {
  const usual = schedulingOf(process.pid);
  expect(useShortSlices(true)).toBe(0);
  expect(schedulingOf(process.pid)).toEqual({ ...usual, slice: SHORTEST_SLICE });
  await using child = Bun.spawn(["sleep", "60"]);
  expect(schedulingOf(child.pid)).toEqual(usual);
  expect(useShortSlices(false)).toBe(0);
  expect(schedulingOf(process.pid)).toEqual(usual);
});

testUnless(noChrt)("a policy that an administrator has chosen is kept", () => {
  const source = join(REPOSITORY, "src/platform/processors.ts");
  const script = `import { useShortSlices } from "${source}"; console.log(useShortSlices(true))`;
  const { stdout } = Bun.spawnSync(["chrt", "--batch", "0", process.execPath, "-e", script]);
  expect(Number(stdout.toString())).toBe(Errno.EBUSY);
});
