/**
 * Settings of the runtime, which can only be made by environment variables at a start.
 *
 * - Bun's garbage collection timer fires every second and wakes five threads. A server sets it to
 *   an hour, so that it sleeps when it is idle, and requests a collection itself when there may be
 *   garbage.
 * - The allocator gives free memory back to the kernel after a short time, also single pages of
 *   blocks that are in use. The collector needs them again: up to one page fault in seven requests.
 *   In a nested guest, where a page fault is slow, a client had half of its round trips because of
 *   that. There a server gives memory back after 10 s, and whole blocks only.
 * - Elsewhere a server looks for single pages every 2 s instead of ten times a second, because that
 *   takes up to 2 ms each time. This needs less memory.
 */
import { selfCommand } from "./self.ts";
import { shim } from "./shim.ts";
import { systemCallNs } from "./system-call.ts";

/** Interval of the garbage collection timer in ms (Bun's GarbageCollectionController). */
const INTERVAL = "BUN_GC_TIMER_INTERVAL";
const AN_HOUR = "3600000";

/** In a nested guest, where a page fault is slow, a system call is: 1 us instead of 0.1. */
const SLOW_CALL_NS = 500;

/** Options of the allocator (mimalloc), times in ms. */
const KEEPING = { MIMALLOC_PURGE_HOLES: "0", MIMALLOC_PURGE_DELAY: "10000" };
const SAVING = { MIMALLOC_PURGE_HOLES_MIN_INTERVAL: "2000" };

/** Delay of a requested collection, so that one collection serves several requests. */
const COLLECT_AFTER_MS = 1000;

let timer: Timer | undefined;

/** The strings, each with a NUL, in one buffer. */
function terminated(...strings: readonly string[]): Buffer {
  return Buffer.from(strings.map((each) => `${each}\0`).join(""), "utf8");
}

/**
 * Executes this program again under the same pid, with arguments `words` and these settings; costs
 * 10 ms. Options of the allocator that are set already are kept. Returns if the timer's variable
 * is set already, or if the kernel refuses. Inherited descriptors stay open.
 */
export function restartWithSettings(words: readonly string[]): void {
  if (process.env[INTERVAL] !== undefined) return;
  const [program = process.execPath, ...before] = selfCommand();
  const argv = [process.argv0, ...before, ...words];
  const allocator = systemCallNs() > SLOW_CALL_NS ? KEEPING : SAVING;
  const variables = Object.entries({ ...allocator, ...process.env, [INTERVAL]: AN_HOUR });
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
