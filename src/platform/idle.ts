/**
 * Lets an idle server sleep. Bun's garbage collection timer fires every second and wakes five
 * threads; its interval can only be set by an environment variable at the start. A server sets it
 * to an hour, and requests a collection itself when there may be garbage.
 */
import { selfCommand } from "./self.ts";
import { shim } from "./shim.ts";

/** The variable: the interval in ms (Bun's GarbageCollectionController). */
const INTERVAL = "BUN_GC_TIMER_INTERVAL";
const AN_HOUR = "3600000";

/** Delay of a requested collection, so that one collection serves several requests. */
const COLLECT_AFTER_MS = 1000;

let timer: Timer | undefined;

/** The strings, each with a NUL, in one buffer. */
function terminated(...strings: readonly string[]): Buffer {
  return Buffer.from(strings.map((each) => `${each}\0`).join(""), "utf8");
}

/**
 * Executes this program again under the same pid, with arguments `words` and the timer at an hour;
 * costs 10 ms. Returns if the variable is set already, or if the kernel refuses. Inherited
 * descriptors stay open.
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

/** Requests a garbage collection in 1 s; does nothing where Bun's own timer runs. */
export function collectSoon(): void {
  if (timer !== undefined || process.env[INTERVAL] !== AN_HOUR) return;
  timer = setTimeout(() => {
    timer = undefined;
    Bun.gc(false);
  }, COLLECT_AFTER_MS);
  timer.unref();
}
