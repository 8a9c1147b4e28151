/**
 * Waiting without a descriptor: a response is announced by a semaphore in shared memory only, so
 * an event loop has to poll. It polls in a tight loop for as long as a running server needs, then
 * once per turn of the loop (a server in the same process gets its turn), then by timers that grow.
 */

/** Polling in a tight loop: what a server that polls needs for an answer. */
const SPIN_MS = 0.015;
/** Polling once per turn of the event loop: what a server needs to wake up and answer. */
const EAGER_MS = 1;
/** The longest pause between two looks. */
const PAUSE_MAX_MS = 8;
/** Interval of the looks of a blocking wait. */
const BLOCKING_PAUSE_MS = 0.1;

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Calls `look` in a tight loop for some microseconds, until it returns something. */
export function spinFor<T>(look: () => T | undefined): T | undefined {
  const end = performance.now() + SPIN_MS;
  for (;;) {
    const found = look();
    if (found !== undefined || performance.now() >= end) return found;
  }
}

/**
 * Calls `look` until it returns something or `deadline` (of performance.now()) is over; at least
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
    pauseMs = Math.min(pauseMs * 2, PAUSE_MAX_MS)
  ) {
    await Bun.sleep(Math.min(pauseMs, Math.max(1, deadline - performance.now())));
    const found = look();
    if (found !== undefined) return found;
  }
  return look();
}

/** As `waitFor`, for a few milliseconds' wait in which nothing else happens. */
export function waitBlockingFor<T>(look: () => T | undefined, deadline: number): T | undefined {
  for (;;) {
    const found = look();
    if (found !== undefined || performance.now() >= deadline) return found;
    Bun.sleepSync(BLOCKING_PAUSE_MS);
  }
}

/** A mutex for asynchronous work: one at a time, first come first served. */
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
      // Waiting for a promise that is settled costs a turn; alone there is nothing to wait for.
      if (this.#inside > 1) await before;
      return await work();
    } finally {
      this.#inside--;
      resolve();
    }
  }
}
