/**
 * A server that nobody asks anything must cost nothing. Bun looks after its heap once a second by a
 * timer, which wakes five threads; how often can only be said in the environment, before it starts.
 * Allocations still collect garbage when they need to.
 */
import { selfCommand } from "./self.ts";

/** Milliseconds between those looks (Bun's GarbageCollectionController). */
const INTERVAL = "BUN_GC_TIMER_INTERVAL";
const AN_HOUR = "3600000";

/**
 * Starts this process again, under the same pid, with the timer all but off; returns when it is.
 * Takes 10 ms, once; where the kernel refuses, the timer stays.
 */
export function restartWithoutTimer(words: readonly string[]): void {
  if (process.env[INTERVAL] !== undefined || process.execve === undefined) return;
  const [program = process.execPath, ...before] = selfCommand();
  const environment = { ...process.env, [INTERVAL]: AN_HOUR };
  process.execve(program, [process.argv0, ...before, ...words], environment);
}
