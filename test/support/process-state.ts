/** What state a process is in: by its letter, because /proc/PID exists for zombies as well. */
import { readdirSync, readFileSync } from "node:fs";

/** A process that is told to stop has stopped within this time, or has ended. */
const STOP_MS = 10_000;

function stateOf(directory: string): string {
  const stat = readFileSync(`${directory}/stat`, "latin1");
  return stat.charAt(stat.lastIndexOf(")") + 2);
}

/** True while process `pid` exists and is neither a zombie nor dead (proc(5), field 3 of stat). */
export function isRunning(pid: number): boolean {
  try {
    return !"ZX".includes(stateOf(`/proc/${pid}`));
  } catch {
    return false;
  }
}

/** True when all threads of a process are stopped, or it is gone. */
function isStopped(pid: number): boolean {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    return threads.every((thread) => "TtZX".includes(stateOf(`/proc/${pid}/task/${thread}`)));
  } catch {
    return true;
  }
}

/**
 * Sends a signal; returns when it has taken effect, if it is SIGSTOP: kill(2) returns before the
 * threads of the process have stopped. Nothing happens when the process has ended.
 */
export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    return;
  }
  if (signal !== "SIGSTOP") return;
  const deadline = performance.now() + STOP_MS;
  while (!isStopped(pid) && performance.now() < deadline) Bun.sleepSync(1);
}
