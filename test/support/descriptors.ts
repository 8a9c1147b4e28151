/** Work while few descriptors are left to this process, as when a limit is reached. */
import { expect } from "bun:test";
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";
import { eventually } from "./eventually.ts";

/** The numbers of this process's descriptors. */
function descriptors(): string {
  return readdirSync("/proc/self/fd").join();
}

/** Sets this process's limit, and waits until what the command needed is closed. */
async function limitDescriptors(most: number): Promise<void> {
  const words = ["prlimit", `--pid=${process.pid}`, `--nofile=${most}:`];
  await Bun.spawn(words, { stdio: ["ignore", "ignore", "ignore"] }).exited;
  let before = "";
  let equal = 0;
  await eventually("nothing is opened or closed", () => {
    const now = descriptors();
    equal = now === before ? equal + 1 : 0;
    before = now;
    // The pauses between looks double: in all 31 ms.
    return equal === 5;
  });
}

/** Runs `work` while only `spare` more descriptors can be opened. */
export async function withDescriptors(spare: number, work: () => void): Promise<void> {
  const before = Number(/open files +(\d+)/.exec(readFileSync("/proc/self/limits", "utf8"))![1]);
  await limitDescriptors(Math.max(...readdirSync("/proc/self/fd").map(Number)) + 32);
  const held: number[] = [];
  try {
    expect(() => {
      for (;;) held.push(openSync("/dev/null", "r"));
    }).toThrow("EMFILE");
    for (let at = 0; at < spare; at++) closeSync(held.pop()!);
    work();
  } finally {
    for (const fd of held) closeSync(fd);
    await limitDescriptors(before);
  }
}
