/**
 * A server that nobody asks anything should cost nothing. Bun looks after its heap once a second,
 * which wakes five threads; how often can only be said in the environment, before it starts. A
 * server says "hardly ever", and has its heap looked after when there may be garbage.
 */
import { selfCommand } from "./self.ts";

/** Milliseconds between those looks (Bun's GarbageCollectionController). */
const INTERVAL = "BUN_GC_TIMER_INTERVAL";
const AN_HOUR = "3600000";

/** Garbage waits this long for more of its kind. */
const COLLECT_AFTER_MS = 1000;

let timer: Timer | undefined;

/**
 * Starts this process again, under the same pid, with that timer all but off; returns when it is
 * so already, or the kernel refuses. Takes 10 ms, once. `words` are its arguments.
 */
export function restartWithoutTimer(words: readonly string[]): void {
  if (process.env[INTERVAL] !== undefined || process.execve === undefined) return;
  const [program = process.execPath, ...before] = selfCommand();
  const environment = { ...process.env, [INTERVAL]: AN_HOUR };
  process.execve(program, [process.argv0, ...before, ...words], environment);
}

/** There may be garbage: has it collected in a second. Bun's timer does that, where it runs. */
export function collectSoon(): void {
  if (timer !== undefined || process.env[INTERVAL] !== AN_HOUR) return;
  timer = setTimeout(() => {
    timer = undefined;
    Bun.gc(false);
  }, COLLECT_AFTER_MS);
  timer.unref();
}
