/** The costs of a process, from /proc: CPU, wake-ups, memory; of all its threads together. */
import { readFileSync, readdirSync } from "node:fs";

export interface Cost {
  /** Time on a CPU, ns (schedstat, not ticks). */
  readonly cpuNs: number;
  /** Voluntary context switches: how often a thread went to sleep. */
  readonly wakeups: number;
  /** Context switches of all kinds. */
  readonly switches: number;
}

/** The costs of each running thread of a process so far, by thread id. */
export type Costs = ReadonlyMap<string, Cost>;

/** The costs of a process, whose directory below a /proc is `process`. */
export function costsOf(process: string): Costs {
  const costs = new Map<string, Cost>();
  for (const task of readdirSync(`${process}/task`)) {
    const directory = `${process}/task/${task}`;
    const cpuNs = Number(readFileSync(`${directory}/schedstat`, "latin1").split(" ")[0]);
    const status = readFileSync(`${directory}/status`, "latin1");
    const wakeups = field(status, "voluntary_ctxt_switches");
    const switches = wakeups + field(status, "nonvoluntary_ctxt_switches");
    costs.set(task, { cpuNs, wakeups, switches });
  }
  return costs;
}

/** The costs of a process since `before`, without those of threads that have ended meanwhile. */
export function costSince(process: string, before: Costs): Cost {
  const since = { cpuNs: 0, wakeups: 0, switches: 0 };
  for (const [task, cost] of costsOf(process)) {
    const then = before.get(task);
    since.cpuNs += cost.cpuNs - (then?.cpuNs ?? 0);
    since.wakeups += cost.wakeups - (then?.wakeups ?? 0);
    since.switches += cost.switches - (then?.switches ?? 0);
  }
  return since;
}

/** Resident bytes without shared memory, because clients map the same rings. */
export function privateBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return (field(status, "VmRSS") - field(status, "RssShmem")) * 1024;
}

function field(status: string, name: string): number {
  const line = new RegExp(`^${name}:\\s+(\\d+)`, "mu").exec(status);
  if (line === null) throw new Error(`no ${name} in /proc`);
  return Number(line[1]);
}

/** The part (0 to 1) of the host that other processes keep busy, measured over 200 ms. */
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
