/** Signals as promises and callbacks. */

const STOP_SIGNALS = ["SIGTERM", "SIGINT"] as const;

export type StopSignal = (typeof STOP_SIGNALS)[number];

/**
 * Resolves at the first SIGTERM or SIGINT; a second one ends the process at once, and what it would
 * leave is removed (at-exit.ts). The handlers stay: between two a signal would kill the process.
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
 * SIGHUP and SIGUSR2 end a process that does not expect them, and administrators send them to have
 * logs reopened or a configuration reread: `noticed` is called instead.
 */
export function onHangUp(noticed: (signal: "SIGHUP" | "SIGUSR2") => void): void {
  for (const signal of ["SIGHUP", "SIGUSR2"] as const) process.on(signal, () => noticed(signal));
}

/** SIGUSR1: debug lines on or off. */
export function onDebugToggle(toggle: () => void): void {
  process.on("SIGUSR1", toggle);
}
