/** The access rules of a server, from its command line: who may connect besides root and itself. */
import { readFileSync } from "node:fs";
import { Access } from "../pmxcfs/requests/access.ts";
import type { Log } from "../base/log.ts";

export interface AccessRules {
  /** Name or number of the group that may read. */
  readonly group: string;
  readonly allowUids: readonly number[];
  readonly allowGids: readonly number[];
  readonly readOnly: boolean;
}

export interface Group {
  readonly name: string;
  readonly gid: number;
}

/** Finds a group by its gid or by its name in /etc/group. */
export function findGroup(group: string): Group | undefined {
  if (/^\d+$/.test(group)) return { name: group, gid: Number(group) };
  let table: string;
  try {
    table = readFileSync("/etc/group", "utf8");
  } catch {
    return undefined;
  }
  for (const line of table.split("\n")) {
    const [name, , gid] = line.split(":");
    if (name === group && gid !== undefined) return { name, gid: Number(gid) };
  }
  return undefined;
}

/** The rules; `group` is the result of `findGroup`. A missing group is logged. */
export function accessOf(rules: AccessRules, group: Group | undefined, log: Log): Access {
  if (group === undefined) {
    log.warn(
      `there is no group "${rules.group}" on this host, so only root` +
        ` and uid ${process.getuid?.()} can connect: create it (addgroup --system ${rules.group})` +
        ` or name another with --group`,
    );
  }
  return new Access({
    group,
    ownUid: process.getuid?.() ?? 0,
    allowUids: rules.allowUids,
    allowGids: rules.allowGids,
    readOnly: rules.readOnly,
  });
}
