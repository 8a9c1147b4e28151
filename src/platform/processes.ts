/** Other processes by their pid: whether they live, and what they call themselves. */
import { readFileSync } from "node:fs";

/** True while process `pid` exists; one that we may not signal does. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** What a process calls itself (/proc/PID/comm), `?` when it is gone; printable ASCII only. */
export function commandOf(pid: number): string {
  try {
    // Any process may choose any bytes: they go to terminals.
    return readFileSync(`/proc/${pid}/comm`, "latin1")
      .trim()
      .replaceAll(/[^ -~]/g, "?");
  } catch {
    return "?";
  }
}
