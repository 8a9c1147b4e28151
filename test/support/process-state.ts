/** The state of a process, from its letter: /proc/PID exists for zombies too. */
import { readdirSync, readFileSync } from "node:fs";

/** Limit of the wait until a process has stopped. */
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

/** True if all threads of a process have stopped, or it has ended. */
export function isStopped(pid: number): boolean {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    return threads.every((thread) => "TtZX".includes(stateOf(`/proc/${pid}/task/${thread}`)));
  } catch {
    return true;
  }
}

/**
 * Sends a signal; does nothing if the process has ended. After SIGSTOP returns when all threads
 * have stopped, because kill(2) returns earlier.
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
