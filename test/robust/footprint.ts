/**
 * What a server holds, as /proc and /dev/shm tell: to compare before and after an attack. Sockets
 * count among the descriptors.
 */
import { readdirSync, readFileSync } from "node:fs";
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

/** Resident memory of its own, without shared pages (of rings), in KiB. */
export function residentKib(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return Number(/^RssAnon:\s+(\d+)/m.exec(status)?.[1] ?? 0);
}

/** What `now` has more of than `before`, in words; empty when it has no more. */
function excess(before: Footprint, now: Footprint): string[] {
  const names = ["descriptors", "mappings", "directories"] as const;
  return names
    .filter((name) => now[name] > before[name])
    .map((name) => `${now[name] - before[name]} ${name}`);
}

/** Waits until the server holds no more than `before`; what it does hold more, when it stays. */
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
    return left.join(", ");
  }
}
