/** Moves this thread off a processor that its client is waiting for. */
import { shim } from "./shim.ts";

/**
 * Moves this thread to another processor if process `pid` is runnable on the current one; true if
 * it moved. The kernel often places a woken task on its waker's processor and rebalances only from
 * time to time, so a server that polls would delay its client by milliseconds.
 */
export function stepAside(pid: number): boolean {
  return shim.shim_step_aside(pid) === 1;
}
