/**
 * systemd's notification protocol (sd_notify(3)): a datagram per message if NOTIFY_SOCKET is set.
 */
import { closeSync, writeSync } from "node:fs";
import { cText, shim } from "./shim.ts";

/** Sends a message to the service manager, if there is one; 0, or a negative errno. */
export type Notify = (text: string) => number;

/** A notifier for the socket in NOTIFY_SOCKET; without one it returns 0. */
export function notifier(environment: NodeJS.ProcessEnv): Notify {
  const path = environment["NOTIFY_SOCKET"];
  if (path === undefined || path === "") return () => 0;
  return (text) => shim.shim_notify(cText(path), cText(text));
}

/** Writes `text` to the pipe `fd`, whose reader waits for it at the start, and closes it. */
export function reportReady(fd: number, text: string): void {
  try {
    writeSync(fd, text);
    closeSync(fd);
  } catch {
    // The reader has ended or closed its end: serve anyway.
  }
}

/** Interval of WATCHDOG=1 in ms: half of the manager's limit; undefined if it has none. */
export function watchdogIntervalMs(environment: NodeJS.ProcessEnv): number | undefined {
  const limitUs = Number(environment["WATCHDOG_USEC"]);
  const pid = environment["WATCHDOG_PID"];
  if (!Number.isFinite(limitUs) || limitUs <= 0) return undefined;
  if (pid !== undefined && pid !== String(process.pid)) return undefined;
  return Math.max(1, Math.floor(limitUs / 2000));
}
