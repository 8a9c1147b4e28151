/**
 * Lets an idle server sleep. Bun's garbage collection timer runs once a second and wakes five
 * threads; its interval can be set only by an environment variable, before the start. A server all
 * but turns it off, and requests a collection itself when there may be garbage.
 */
import { selfCommand } from "./self.ts";
import { shim } from "./shim.ts";

/** Interval of that timer in ms (Bun's GarbageCollectionController). */
const INTERVAL = "BUN_GC_TIMER_INTERVAL";
const AN_HOUR = "3600000";

/** Delay of a requested collection, so that one collection serves several requests. */
const COLLECT_AFTER_MS = 1000;

let timer: Timer | undefined;

/** Strings one after the other, each with its NUL. */
function terminated(...strings: readonly string[]): Buffer {
  return Buffer.from(strings.map((each) => `${each}\0`).join(""), "utf8");
}

/**
 * Executes this program again under the same pid, with that timer all but off (10 ms, once).
 * Returns when it is off already, or the kernel refuses. `words` are its arguments. Descriptors
 * that this process was given stay open.
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

/** Requests a garbage collection in a second; where Bun's timer runs, the timer does it. */
export function collectSoon(): void {
  if (timer !== undefined || process.env[INTERVAL] !== AN_HOUR) return;
  timer = setTimeout(() => {
    timer = undefined;
    Bun.gc(false);
  }, COLLECT_AFTER_MS);
  timer.unref();
}
