/**
 * Who listens on a service's name: /proc/net/unix has the socket's inode, /proc/PID/fd its owner.
 * For one line of an error message, so anything unreadable is simply not known.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

export interface Holder {
  readonly pid: number;
  readonly command: string;
}

/** Inodes of the listening sockets with this name (flags: __SO_ACCEPTCON, 0x10000). */
function listeningInodes(table: string, name: string): Set<string> {
  const inodes = new Set<string>();
  for (const line of table.split("\n")) {
    // The kernel prints the padding NULs of a 110-byte address as `@` too.
    const [, , , flags, , , inode, path = ""] = line.trim().split(/\s+/);
    const bare = path.replace(/@+$/, "");
    if (
      flags === "00010000" &&
      inode !== undefined &&
      (bare === `@${name}` || bare === `/run/${name}`)
    )
      inodes.add(`socket:[${inode}]`);
  }
  return inodes;
}

function holds(pid: string, inodes: ReadonlySet<string>): boolean {
  try {
    const directory = `/proc/${pid}/fd`;
    return readdirSync(directory).some((fd) => inodes.has(readlinkSync(`${directory}/${fd}`)));
  } catch {
    return false;
  }
}

/** The process that listens on `name`, when it can be seen from here. */
export function findHolder(name: string): Holder | undefined {
  try {
    const inodes = listeningInodes(readFileSync("/proc/net/unix", "latin1"), name);
    if (inodes.size === 0) return undefined;
    const pid = readdirSync("/proc").find(
      (entry) => /^[0-9]+$/.test(entry) && holds(entry, inodes),
    );
    if (pid === undefined) return undefined;
    return { pid: Number(pid), command: readFileSync(`/proc/${pid}/comm`, "latin1").trim() };
  } catch {
    return undefined;
  }
}

/** What a process calls itself (/proc/PID/comm), `?` when it is gone; printable ASCII only. */
export function commandOf(pid: number): string {
  try {
    // Any process may choose any bytes: they go to terminals.
    return readFileSync(`/proc/${pid}/comm`, "latin1")
      .trim()
      .replaceAll(/[^ -~]/g, "?");
  } catch {
    return "?";
  }
}
