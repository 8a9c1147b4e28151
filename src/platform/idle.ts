/**
 * Intervals of the runtime's own work, which can only be set by environment variables at a start.
 *
 * - Bun's garbage collection timer fires every second and wakes five threads. A server sets it to
 *   an hour, so that it sleeps when it is idle, and requests a collection itself when there may be
 *   garbage.
 * - While memory is freed, the allocator's thread looks ten times a second for pages that can be
 *   given back, for up to 2 ms each time. A server has it look every 2 s: as much memory is given
 *   back in the end, and the thread takes a sixth of the time.
 */
import { selfCommand } from "./self.ts";
import { shim } from "./shim.ts";

/** Interval of the garbage collection timer in ms (Bun's GarbageCollectionController). */
const INTERVAL = "BUN_GC_TIMER_INTERVAL";
const AN_HOUR = "3600000";

/** Least interval in ms of the allocator's search for unused pages (mimalloc's purge_holes). */
const HOLES_INTERVAL = "MIMALLOC_PURGE_HOLES_MIN_INTERVAL";
const TWO_SECONDS = "2000";

/** Delay of a requested collection, so that one collection serves several requests. */
const COLLECT_AFTER_MS = 1000;

let timer: Timer | undefined;

/** The strings, each with a NUL, in one buffer. */
function terminated(...strings: readonly string[]): Buffer {
  return Buffer.from(strings.map((each) => `${each}\0`).join(""), "utf8");
}

/**
 * Executes this program again under the same pid, with arguments `words` and these intervals; costs
 * 10 ms. An interval of the allocator that is set already is kept. Returns if the timer's variable
 * is set already, or if the kernel refuses. Inherited descriptors stay open.
 */
export function restartWithIntervals(words: readonly string[]): void {
  if (process.env[INTERVAL] !== undefined) return;
  const [program = process.execPath, ...before] = selfCommand();
  const argv = [process.argv0, ...before, ...words];
  const intervals = { [HOLES_INTERVAL]: TWO_SECONDS, ...process.env, [INTERVAL]: AN_HOUR };
  const variables = Object.entries(intervals);
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
