/** How the kernel schedules a thread, as test/native/scheduling-of.c reads it. */
import { native } from "./native.ts";

export interface Scheduling {
  readonly policy: number;
  readonly nice: number;
  /** The length of a time slice in ns; 0 before Linux 6.12. */
  readonly slice: number;
}

/** The shortest slice that the kernel gives, in ns. */
export const SHORTEST_SLICE = 100_000;

export function schedulingOf(thread: number): Scheduling {
  const { stdout, stderr } = Bun.spawnSync([native("scheduling-of"), String(thread)]);
  if (stderr.length > 0) throw new Error(stderr.toString());
  return JSON.parse(stdout.toString()) as Scheduling;
}

/** Why a thread's slices cannot be seen here. */
export function noSlices(): string | undefined {
  const hasSlices = schedulingOf(process.pid).slice > 0;
  return hasSlices ? undefined : "needs Linux 6.12, whose scheduler has slices";
}
