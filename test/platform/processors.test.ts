/** A thread leaves its processor only if the given process is waiting for it. */
import { afterAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { stepAside } from "../../src/platform/processors.ts";
import { eventually } from "../support/eventually.ts";
import { native } from "../support/native.ts";
import { shortestMs } from "../support/shortest.ts";
import { testUnless } from "../support/unless.ts";

const children: Bun.Subprocess[] = [];

afterAll(() => {
  for (const child of children) child.kill(9);
});

/** State and processor of a process (proc(5): fields 3 and 39). */
function statOf(pid: number): { state: string; processor: number } {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ") ?? [];
  return { state: fields[0] ?? "?", processor: Number(fields[36]) };
}

function allowed(): string {
  return /Cpus_allowed_list:\s+(\S+)/.exec(readFileSync("/proc/self/status", "latin1"))?.[1] ?? "";
}

/** A process that runs or sleeps, pinned to `processor`. */
function pinned(processor: number, ...command: string[]): number {
  const child = Bun.spawn(["taskset", "-c", String(processor), ...command], { stdin: "pipe" });
  children.push(child);
  return child.pid;
}

const noTaskset = Bun.which("taskset") === null ? "needs taskset, from util-linux" : undefined;
const oneOnly = availableParallelism() < 2 ? "needs two processors" : noTaskset;

testUnless(oneOnly)("a thread leaves the processor that a process is waiting for", async () => {
  const before = allowed();
  const processor = statOf(process.pid).processor;
  const spinning = pinned(processor, "sh", "-c", "while :; do :; done");
  // On the same processor, and allowed to move; tried again if the scheduler moved it first.
  await eventually("this thread steps aside", () => {
    for (const where of [String(processor), before]) {
      Bun.spawnSync(["taskset", "-pc", where, String(process.pid)]);
    }
    if (!stepAside(spinning)) return false;
    expect(statOf(process.pid).processor).not.toBe(processor);
    return true;
  });
  expect(allowed()).toBe(before);
});

testUnless(oneOnly)("a thread does not move for a process that sleeps or is gone", async () => {
  const sleeping = pinned(statOf(process.pid).processor, "cat");
  await eventually("cat sleeps", () => statOf(sleeping).state === "S");
  for (let i = 0; i < 100; i++) expect(stepAside(sleeping)).toBe(false);
  expect(stepAside(2 ** 31 - 1)).toBe(false);
});

test("thousands of threads of a process cost its server no time", async () => {
  const [few, many] = await Promise.all(
    [1, 4000].map(async (threads) => {
      const child = Bun.spawn([native("many-threads"), String(threads)], { stdout: "pipe" });
      children.push(child);
      const { value } = await child.stdout.getReader().read();
      expect(Number(new TextDecoder().decode(value))).toBe(threads);
      return shortestMs(50, () => stepAside(child.pid));
    }),
  );
  expect(many).toBeLessThan(5 * (few ?? 0));
});

test("a pid without a process has no effect", () => {
  expect(stepAside(0)).toBe(false);
  expect(stepAside(-1)).toBe(false);
});
