/**
 * The resources of a server, from /proc and /dev/shm, for a comparison before and after an attack.
 * Descriptors include sockets.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { eventually } from "../support/eventually.ts";
import { ringDirectories } from "../support/shm.ts";

export interface Footprint {
  readonly descriptors: number;
  /** Mappings of ring files. */
  readonly mappings: number;
  readonly directories: number;
}

export function footprintOf(pid: number): Footprint {
  const maps = readFileSync(`/proc/${pid}/maps`, "latin1").split("\n");
  return {
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    mappings: maps.filter((line) => line.includes("/dev/shm/qb-")).length,
    directories: ringDirectories(pid).length,
  };
}

/** How long a thread has waited for a processor, in ms, from its /proc/PID/schedstat. */
export function waitedMs(schedstat: string): number {
  return Number(schedstat.split(" ")[1]) / 1e6;
}

/** How long the main thread of a process has waited for a processor, in ms. */
export function waitedForProcessorMs(pid: number): number {
  return waitedMs(readFileSync(`/proc/${pid}/schedstat`, "latin1"));
}

/** Private resident memory, without shared pages (rings), in KiB. */
export function residentKib(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return Number(/^RssAnon:\s+(\d+)/m.exec(status)?.[1] ?? 0);
}

/** The resources that increased from `before` to `now`, as texts; empty if none did. */
function excess(before: Footprint, now: Footprint): string[] {
  const names = ["descriptors", "mappings", "directories"] as const;
  return names
    .filter((name) => now[name] > before[name])
    .map((name) => `${now[name] - before[name]} ${name}`);
}

/** The kinds of its descriptors with their numbers: `socket x3, /dev/shm x1`. */
function descriptorKinds(pid: number): string {
  const counts = new Map<string, number>();
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const kind = kindOf(`/proc/${pid}/fd/${fd}`);
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return [...counts].map(([kind, count]) => `${kind} x${count}`).join(", ");
}

/** The target of a link in /proc/PID/fd, without numbers; "gone" if it was closed meanwhile. */
function kindOf(link: string): string {
  try {
    return readlinkSync(link).replace(/:?\[\d+\]$/, "");
  } catch {
    return "gone";
  }
}

/** Waits until the server uses no more than `before`; returns what stays in excess. */
export async function whatIsLeft(pid: number, before: Footprint): Promise<string> {
  let left: string[] = [];
  try {
    await eventually(
      "no more than before",
      () => {
        left = excess(before, footprintOf(pid));
        return left.length === 0;
      },
      30_000,
    );
    return "nothing";
  } catch {
    return `${left.join(", ")} of ${descriptorKinds(pid)}`;
  }
}
