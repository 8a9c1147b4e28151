/** The groups of this host, as in group(5); no name service is asked. */
import { readFileSync } from "node:fs";

export interface Group {
  readonly name: string;
  readonly gid: number;
}

/** The groups in the lines of group(5); lines without a number are left out. */
export function parseGroups(text: string): Group[] {
  return text.split("\n").flatMap((line) => {
    const [name = "", , gid = ""] = line.split(":");
    return /^\d+$/.test(gid) ? { name, gid: Number(gid) } : [];
  });
}

/** Finds a group by its gid, which need not exist, or by its name in /etc/group. */
export function findGroup(group: string): Group | undefined {
  if (/^\d+$/.test(group)) return { name: group, gid: Number(group) };
  try {
    return parseGroups(readFileSync("/etc/group", "utf8")).find(({ name }) => name === group);
  } catch {
    return undefined;
  }
}
