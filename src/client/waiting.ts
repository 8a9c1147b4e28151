/**
 * Waits without a descriptor: only a semaphore in shared memory announces a response, so an event
 * loop has to poll. It polls in a tight loop for as long as a polling server needs, then once per
 * turn of the loop (so that a server in the same process runs), then at growing intervals.
 */
import { nextTurn } from "../base/turns.ts";

/** Time to poll in a tight loop: a polling server answers within it. */
const SPIN_MS = 0.015;
/** Time to poll once per turn of the loop: a sleeping server wakes up and answers within it. */
const EAGER_MS = 1;
/** The longest pause between two polls. */
const MAX_PAUSE_MS = 8;
/** Polling interval of a blocking wait. */
const BLOCKING_PAUSE_MS = 0.1;

/** Calls `look` in a tight loop for some microseconds, until it returns something. */
export function spinFor<T>(look: () => T | undefined): T | undefined {
  const end = performance.now() + SPIN_MS;
  for (;;) {
    const found = look();
    if (found !== undefined || performance.now() >= end) return found;
  }
}

/**
 * Calls `look` until it returns a value or `deadline` (of performance.now()) has passed, at least
 * once. `look` must not block.
 */
export async function waitFor<T>(
  look: () => T | undefined,
  deadline: number,
): Promise<T | undefined> {
  const first = look();
  if (first !== undefined) return first;
  const start = performance.now();
  for (let now = start; now < start + EAGER_MS && now < deadline; now = performance.now()) {
    await nextTurn();
    const found = look();
    if (found !== undefined) return found;
  }
  for (
    let pauseMs = 1;
    performance.now() < deadline;
    pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)
  ) {
    await Bun.sleep(Math.min(pauseMs, Math.max(1, deadline - performance.now())));
    const found = look();
    if (found !== undefined) return found;
  }
  return look();
}

/** As `waitFor`, but blocks the event loop: only for waits of a few milliseconds. */
export function waitBlockingFor<T>(look: () => T | undefined, deadline: number): T | undefined {
  for (;;) {
    const found = look();
    if (found !== undefined || performance.now() >= deadline) return found;
    Bun.sleepSync(BLOCKING_PAUSE_MS);
  }
}

/** A mutex for asynchronous work, first come, first served. */
export class Mutex {
  #last: Promise<void> = Promise.resolve();
  #inside = 0;

  /** Whether it is held. */
  get busy(): boolean {
    return this.#inside > 0;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last = promise;
    this.#inside++;
    try {
      // Even a settled promise costs a turn, so it is awaited only if another call is inside.
      if (this.#inside > 1) await before;
      return await work();
    } finally {
      this.#inside--;
      resolve();
    }
  }
}
