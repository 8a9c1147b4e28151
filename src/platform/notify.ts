/** systemd's notification protocol (sd_notify(3)): one datagram per message, nothing when unset. */
import { closeSync, writeSync } from "node:fs";
import { cString, shim } from "./shim.ts";

/** Tells the service manager, when there is one; 0, or a negative errno worth a log line. */
export type Notify = (text: string) => number;

/** A notifier for the socket that systemd named in the environment. */
export function notifier(environment: NodeJS.ProcessEnv): Notify {
  const path = environment["NOTIFY_SOCKET"];
  if (path === undefined || path === "") return () => 0;
  return (text) => shim.shim_notify(cString(path), cString(text));
}

/** Writes a line to descriptor `fd` and closes it; whatever waits there has gone if that fails. */
export function tellReady(fd: number): void {
  try {
    writeSync(fd, "ready\n");
    closeSync(fd);
  } catch {
    // Nobody reads it any more: no reason not to serve.
  }
}

/** How often the manager wants WATCHDOG=1, in ms: half its limit; undefined when it does not. */
export function watchdogIntervalMs(environment: NodeJS.ProcessEnv): number | undefined {
  const limitUs = Number(environment["WATCHDOG_USEC"]);
  const pid = environment["WATCHDOG_PID"];
  if (!Number.isFinite(limitUs) || limitUs <= 0) return undefined;
  if (pid !== undefined && pid !== String(process.pid)) return undefined;
  return Math.max(1, Math.floor(limitUs / 2000));
}
