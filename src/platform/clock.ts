/** The clock that stamps changes. */
import { shim } from "./shim.ts";

/**
 * Seconds since 1970 of the kernel's coarse clock: that of time(2), and of the times that the
 * kernel sets on files. Date.now() is up to a few ms ahead of it. With that, a lock made at the end
 * of a second would be newer than "now", and could not be refreshed.
 */
export function unixSeconds(): number {
  return shim.shim_unix_seconds();
}
