/** What this thread asks of the scheduler: where it runs, and for how long at a time. */
import type { Errno } from "../base/errno.ts";
import { shim } from "./shim.ts";

/**
 * Moves this thread to another processor if process `pid` is runnable on the current one; true if
 * it moved. The kernel often places a woken task on its waker's processor and rebalances only from
 * time to time, so a server that polls would delay its client by milliseconds.
 */
export function stepAside(pid: number): boolean {
  return shim.shim_step_aside(pid) === 1;
}

/** The shortest slice that the kernel gives. */
const SHORTEST_NS = 100_000;

/**
 * Asks for the shortest time slices for this thread, or for the usual ones again. With short ones
 * it need not wait until another thread has used up its own (2.8 ms by default) when a request
 * comes: it gets no more time, but sooner. EBUSY: an administrator has chosen another policy than
 * SCHED_OTHER, which is kept.
 */
export function useShortSlices(areShort: boolean): 0 | Errno {
  return shim.shim_slice(areShort ? SHORTEST_NS : 0) as 0 | Errno;
}
