/** Which processor this thread runs on, as far as it matters who else runs there. */
import { shim } from "./shim.ts";

/**
 * Moves this thread to another processor when process `pid` waits for the one it runs on; true
 * when it did. The scheduler puts who is woken beside who woke it, and looks for an idle processor
 * only now and then: a server that polls would stand in its client's way for milliseconds.
 */
export function stepAside(pid: number): boolean {
  return shim.shim_step_aside(pid) === 1;
}
