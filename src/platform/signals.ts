/** Signals as promises and callbacks. */

const STOP_SIGNALS = ["SIGTERM", "SIGINT"] as const;

export type StopSignal = (typeof STOP_SIGNALS)[number];

/**
 * Resolves at the first SIGTERM or SIGINT. A second one ends the process at once; at-exit.ts then
 * removes what would be left. The handlers are never removed: a signal without one would kill the
 * process.
 */
export function stopRequested(): Promise<StopSignal> {
  const { promise, resolve } = Promise.withResolvers<StopSignal>();
  let isStopping = false;
  for (const signal of STOP_SIGNALS) {
    process.on(signal, () => {
      if (isStopping) process.exit(1);
      isStopping = true;
      resolve(signal);
    });
  }
  return promise;
}

/**
 * Ignores the signals of `onHangUp` and `onDebugToggle` until these are called. To be called before
 * a start makes anything that must not outlive the process.
 */
export function ignoreNotices(): void {
  for (const signal of ["SIGHUP", "SIGUSR1", "SIGUSR2"] as const) process.on(signal, () => {});
}

/**
 * Calls `noticed` at SIGHUP and SIGUSR2, which would otherwise end the process: administrators send
 * them to have logs reopened or a configuration reread.
 */
export function onHangUp(noticed: (signal: "SIGHUP" | "SIGUSR2") => void): void {
  for (const signal of ["SIGHUP", "SIGUSR2"] as const) process.on(signal, () => noticed(signal));
}

/** Calls `toggle` at SIGUSR1, which switches debug output. */
export function onDebugToggle(toggle: () => void): void {
  process.on("SIGUSR1", toggle);
}
