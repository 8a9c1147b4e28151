/**
 * An idle server should cost nothing. Bun looks after its heap once a second,
 * which wakes five threads; how often can only be said in the environment, before it starts. A
 * server says "hardly ever", and has its heap looked after when there may be garbage.
 */
import { selfCommand } from "./self.ts";
import { shim } from "./shim.ts";

/** Milliseconds between those looks (Bun's GarbageCollectionController). */
const INTERVAL = "BUN_GC_TIMER_INTERVAL";
const AN_HOUR = "3600000";

/** Garbage waits this long for more of its kind. */
const COLLECT_AFTER_MS = 1000;

let timer: Timer | undefined;

/** Strings one after the other, each with its NUL. */
function terminated(...strings: readonly string[]): Buffer {
  return Buffer.from(strings.map((each) => `${each}\0`).join(""), "utf8");
}

/**
 * Starts this process again, under the same pid, with that timer all but off; returns when it is
 * so already, or the kernel refuses. Takes 10 ms, once. `words` are its arguments. Descriptors that
 * this process was given stay open.
 */
export function restartWithoutTimer(words: readonly string[]): void {
  if (process.env[INTERVAL] !== undefined) return;
  const [program = process.execPath, ...before] = selfCommand();
  const argv = [process.argv0, ...before, ...words];
  const variables = Object.entries({ ...process.env, [INTERVAL]: AN_HOUR });
  const environment = variables.map(([name, value]) => `${name}=${value}`);
  shim.shim_execute(
    terminated(program),
    terminated(...argv),
    argv.length,
    terminated(...environment),
    environment.length,
  );
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
