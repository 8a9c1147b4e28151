/** The access rules of a server, from its command line: who may connect besides root and itself. */
import { Access } from "../pmxcfs/requests/access.ts";
import type { Log } from "../base/log.ts";
import type { Group } from "../platform/groups.ts";

export interface AccessRules {
  /** Name or number of the group that may read. */
  readonly group: string;
  readonly allowUids: readonly number[];
  readonly allowGids: readonly number[];
  readonly readOnly: boolean;
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
