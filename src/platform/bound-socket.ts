/**
 * Whether a process has a unix socket at a path. A connect does not show it: if as many connections
 * wait as there may be, connect(2) fails with EAGAIN, for which Bun reports ECONNREFUSED, as for a
 * socket whose process has ended.
 */
import { Errno } from "../base/errno.ts";
import { cText, shim } from "./shim.ts";

/**
 * True unless the kernel reports that no process has a socket at `path`. A datagram to a stream
 * socket fails with EPROTOTYPE whatever waits there, and makes no connection (unix_find_bsd of the
 * kernel); a datagram socket gets an empty one.
 */
export function isBound(path: string): boolean {
  const result = shim.shim_notify(cText(path), cText(""));
  return result !== Errno.ECONNREFUSED && result !== Errno.ENOENT;
}

/** The reason if a connect to `path` failed with `error` because too many others wait there. */
export function fullQueue(path: string, error: unknown): string | undefined {
  if ((error as NodeJS.ErrnoException).code !== "ECONNREFUSED" || !isBound(path)) return undefined;
  return "the server hangs or is stopped: its queue of connections is full";
}
