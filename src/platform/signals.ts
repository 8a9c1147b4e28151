/** Signals that ask for something, as promises and callbacks. */

const STOP_SIGNALS = ["SIGTERM", "SIGINT"] as const;

export type StopSignal = (typeof STOP_SIGNALS)[number];

/** Resolves at the first SIGTERM or SIGINT; a second one ends the process at once. */
export function stopRequested(): Promise<StopSignal> {
  const { promise, resolve } = Promise.withResolvers<StopSignal>();
  for (const signal of STOP_SIGNALS) {
    process.once(signal, () => {
      resolve(signal);
      process.once(signal, () => process.exit(1));
    });
  }
  return promise;
}

/** SIGUSR1: more or less to read in the log. */
export function onDebugToggle(toggle: () => void): void {
  process.on("SIGUSR1", toggle);
}
