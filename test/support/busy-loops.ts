/** Load that keeps the processors of the machine busy. */
import type { Subprocess } from "bun";

/** Two processes that are busy until they are killed, or this process has ended. */
export function busyLoops(): Subprocess[] {
  // Each turn checks for the parent: a run that is killed cannot end them.
  return [1, 2].map(() => Bun.spawn(["sh", "-c", "while kill -0 $PPID; do :; done 2>/dev/null"]));
}
