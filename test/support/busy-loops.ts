/** Load that keeps the processors of the machine busy. */
import type { Subprocess } from "bun";

/** Two processes that are busy until they are killed, or this process has ended. */
export function busyLoops(): Subprocess[] {
  // Each turn checks for this process: a run that is killed cannot end them. Not by $PPID, which is
  // init's pid if this process ends before the shell has started.
  const loop = ["sh", "-c", "while kill -0 $1; do :; done 2>/dev/null", "sh", String(process.pid)];
  return [1, 2].map(() => Bun.spawn(loop));
}
