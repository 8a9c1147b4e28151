/**
 * Finds the entry of a descriptor in Bun's epoll set, which Bun does not show: the kernel lists the
 * members of each epoll set of this process, with their user data, in /proc/self/fdinfo (proc(5)).
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** An epoll set that contains a descriptor, and the 64 bits of user data of that entry. */
export interface EpollEntry {
  /** Descriptor of the set. */
  readonly set: number;
  readonly low: number;
  readonly high: number;
}

function openDescriptors(): string[] {
  try {
    return readdirSync("/proc/self/fd");
  } catch {
    // No /proc, or no descriptor is left to read it.
    return [];
  }
}

/** The entry of `fd`; undefined if no set contains it, or /proc cannot be read. */
export function findEpollEntry(fd: number): EpollEntry | undefined {
  const row = new RegExp(`^tfd:\\s+${fd} events:\\s+\\S+ data:\\s+([0-9a-f]+)`, "m");
  for (const name of openDescriptors()) {
    try {
      if (readlinkSync(`/proc/self/fd/${name}`) !== "anon_inode:[eventpoll]") continue;
      const data = row.exec(readFileSync(`/proc/self/fdinfo/${name}`, "latin1"))?.[1];
      if (data === undefined) continue;
      const digits = data.padStart(16, "0");
      const low = Number.parseInt(digits.slice(8), 16);
      return { set: Number(name), low, high: Number.parseInt(digits.slice(0, 8), 16) };
    } catch {
      // The descriptor that listed the directory is closed by now.
    }
  }
  return undefined;
}
