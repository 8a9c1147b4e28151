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
 * Calls `check`, a function of its own for each call, once a second until disposed, the first time
 * within a second. Does not keep the process alive.
 */
export function everySecond(check: () => void): Disposable {
  checks.add(check);
  if (timer === undefined) {
    timer = setInterval(beat, BEAT_MS);
    timer.unref();
  }
  return {
    [Symbol.dispose]() {
      checks.delete(check);
      if (checks.size > 0) return;
      clearInterval(timer);
      timer = undefined;
    },
  };
}
