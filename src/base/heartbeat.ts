/**
 * One timer for all checks that are made once a second, so that they wake an idle process once a
 * second together, and not each by itself.
 */

const BEAT_MS = 1000;

const checks = new Set<() => void>();
let timer: Timer | undefined;

function beat(): void {
  for (const check of checks) check();
}

/**
 * Calls `check` once a second until disposed, the first time within a second. Does not keep the
 * process alive.
 */
export function everySecond(check: () => void): Disposable {
  // Of its own, so that the same function can be given twice.
  const own = (): void => check();
  checks.add(own);
  if (timer === undefined) {
    timer = setInterval(beat, BEAT_MS);
    timer.unref();
  }
  return {
    [Symbol.dispose]() {
      checks.delete(own);
      if (checks.size > 0) return;
      clearInterval(timer);
      timer = undefined;
    },
  };
}
