/** What a process has cost, from /proc: CPU, wake-ups, memory. All its threads together. */
import { readFileSync, readdirSync } from "node:fs";

export interface Cost {
  /** Time on a CPU, ns (schedstat, not ticks). */
  readonly cpuNs: number;
  /** Voluntary context switches: how often a thread of it went to sleep. */
  readonly wakeups: number;
}

/** The cost so far of the living threads of `pid`. */
export function costOf(pid: number): Cost {
  let cpuNs = 0;
  let wakeups = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const directory = `/proc/${pid}/task/${task}`;
    cpuNs += Number(readFileSync(`${directory}/schedstat`, "latin1").split(" ")[0]);
    wakeups += field(readFileSync(`${directory}/status`, "latin1"), "voluntary_ctxt_switches");
  }
  return { cpuNs, wakeups };
}

/** Bytes resident, shared memory left out: the rings are counted with their clients' too. */
export function privateBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return (field(status, "VmRSS") - field(status, "RssShmem")) * 1024;
}

function field(status: string, name: string): number {
  const line = new RegExp(`^${name}:\\s+(\\d+)`, "mu").exec(status);
  if (line === null) throw new Error(`no ${name} in /proc`);
  return Number(line[1]);
}
