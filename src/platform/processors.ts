/** Keeps this thread off a processor that its client waits for. */
import { shim } from "./shim.ts";

/**
 * Moves this thread to another processor when process `pid` is runnable on the one it occupies;
 * true when it did. The kernel places a woken task beside its waker and looks for an idle processor
 * only now and then: a server that polls would delay its client by milliseconds.
 */
export function stepAside(pid: number): boolean {
  return shim.shim_step_aside(pid) === 1;
}
