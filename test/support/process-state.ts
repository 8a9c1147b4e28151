/** Whether a process runs: by its state letter, because /proc/PID exists for zombies as well. */
import { readFileSync } from "node:fs";

/** True while process `pid` exists and is neither a zombie nor dead (proc(5), field 3 of stat). */
export function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return !"ZX".includes(stat.charAt(stat.lastIndexOf(")") + 2));
  } catch {
    return false;
  }
}
