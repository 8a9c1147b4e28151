/** What a process has cost, from /proc: CPU, wake-ups, memory. All its threads together. */
import { readFileSync, readdirSync } from "node:fs";

export interface Cost {
  /** Time on a CPU, ns (schedstat, not ticks). */
  readonly cpuNs: number;
  /** Voluntary context switches: how often a thread of it went to sleep. */
  readonly wakeups: number;
  /** Context switches of all kinds. */
  readonly switches: number;
}

/** The cost so far of the living threads of `pid`. */
export function costOf(pid: number): Cost {
  let cpuNs = 0;
  let wakeups = 0;
  let switches = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const directory = `/proc/${pid}/task/${task}`;
    cpuNs += Number(readFileSync(`${directory}/schedstat`, "latin1").split(" ")[0]);
    const status = readFileSync(`${directory}/status`, "latin1");
    const voluntary = field(status, "voluntary_ctxt_switches");
    wakeups += voluntary;
    switches += voluntary + field(status, "nonvoluntary_ctxt_switches");
  }
  return { cpuNs, wakeups, switches };
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

/** The part of the machine (0 to 1) that is busy while nothing of ours runs, over 200 ms. */
export async function foreignLoad(): Promise<number> {
  const before = ticks();
  await Bun.sleep(200);
  const after = ticks();
  return (after.busy - before.busy) / Math.max(1, after.all - before.all);
}

/** /proc/stat's first line: user nice system idle iowait irq softirq steal. */
function ticks(): { busy: number; all: number } {
  const [line = ""] = readFileSync("/proc/stat", "latin1").split("\n");
  const counts = line.split(/\s+/u).slice(1, 9).map(Number);
  const all = counts.reduce((sum, count) => sum + count, 0);
  return { busy: all - (counts[3] ?? 0) - (counts[4] ?? 0), all };
}
