/** Other processes by pid: one that runs, one that has ended, one of another user. */
import { expect, test } from "bun:test";
import { commandOf, isAlive } from "../../src/platform/processes.ts";

test("a process is alive until it has ended, and then has no name", async () => {
  const child = Bun.spawn(["cat"], { stdin: "pipe" });
  expect(isAlive(child.pid)).toBe(true);
  expect(commandOf(child.pid)).not.toBe("?");
  await child.stdin.end();
  await child.exited;
  expect(isAlive(child.pid)).toBe(false);
  expect(commandOf(child.pid)).toBe("?");
});

test("a process that we may not signal counts as alive", () => {
  expect(isAlive(1)).toBe(true);
});
