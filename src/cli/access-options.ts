/** The access options of every command that serves PVE's clients. */
import type { AccessRules } from "../daemon/access-rules.ts";
import { flag, list, text, type Values } from "./args.ts";
import { UsageFailure } from "./failure.ts";

const ACCESS = "Access";

export const accessOptions = {
  group: text({
    description: "Group whose members may read",
    hint: "GROUP",
    default: "www-data",
    group: ACCESS,
  }),
  allowUid: list({ description: "Uid with full access", hint: "UID", group: ACCESS }),
  allowGid: list({ description: "Gid that may read", hint: "GID", group: ACCESS }),
  readOnly: flag({ description: "Refuse all writes", group: ACCESS }),
} as const;

/** Parses numeric ids. */
export function ids(words: readonly string[], option: string): number[] {
  return words.map((word) => {
    const id = Number(word);
    if (/^\d+$/.test(word) && id <= 0xffffffff) return id;
    throw new UsageFailure(`${option}: "${word}" is not a numeric id`);
  });
}

/** The access rules that the options select. */
export function accessRules(values: Values<typeof accessOptions>): AccessRules {
  return {
    group: values.group,
    allowUids: ids(values.allowUid, "--allow-uid"),
    allowGids: ids(values.allowGid, "--allow-gid"),
    readOnly: values.readOnly,
  };
}
