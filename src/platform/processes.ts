/** Other processes by pid: whether they exist, and their names. */
import { errorCode } from "../base/error-text.ts";
import { readFileSync } from "node:fs";

/** True while process `pid` exists, even if we may not signal it. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) === "EPERM";
  }
}

/** The name of a process (/proc/PID/comm) in printable ASCII; `?` when it is gone. */
export function commandOf(pid: number): string {
  try {
    // A process may set any bytes as its name, and callers print it to terminals.
    return readFileSync(`/proc/${pid}/comm`, "latin1")
      .trim()
      .replaceAll(/[^ -~]/g, "?");
  } catch {
    return "?";
  }
}
