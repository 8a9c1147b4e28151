/** systemd's notification protocol (sd_notify(3)): one datagram per message, nothing when unset. */
import { closeSync, writeSync } from "node:fs";
import { cString, shim } from "./shim.ts";

/** Sends a message to the service manager, if there is one; 0, or a negative errno to log. */
export type Notify = (text: string) => number;

/** A notifier for the socket that systemd named in the environment. */
export function notifier(environment: NodeJS.ProcessEnv): Notify {
  const path = environment["NOTIFY_SOCKET"];
  if (path === undefined || path === "") return () => 0;
  return (text) => shim.shim_notify(cString(path), cString(text));
}

/** Writes a line to descriptor `fd` and closes it. A failure means that its reader has gone. */
export function tellReady(fd: number): void {
  try {
    writeSync(fd, "ready\n");
    closeSync(fd);
  } catch {
    // The reader has closed it: no reason not to serve.
  }
}

/** Interval of WATCHDOG=1 in ms: half the manager's limit; undefined when it has none. */
export function watchdogIntervalMs(environment: NodeJS.ProcessEnv): number | undefined {
  const limitUs = Number(environment["WATCHDOG_USEC"]);
  const pid = environment["WATCHDOG_PID"];
  if (!Number.isFinite(limitUs) || limitUs <= 0) return undefined;
  if (pid !== undefined && pid !== String(process.pid)) return undefined;
  return Math.max(1, Math.floor(limitUs / 2000));
}
