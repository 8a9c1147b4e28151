/** Whether the server that runs writes the config.db at its path, or an earlier file. */
import { type Finding, found } from "../finding.ts";
import type { Context } from "../probe.ts";
import { descriptorNames } from "../proc.ts";
import { behindLinks } from "./disk.ts";

/** The file that is written instead of this one; undefined if it is this one, or not known. */
function writtenInstead(names: readonly string[], path: string): string | undefined {
  if (names.includes(path)) return undefined;
  // The C server keeps a removed file; ours continues in one beside it (config-db-writer.ts).
  const other = names.find((name) => {
    const isKept = name.startsWith(`${path}.replaced-`) && !/-(wal|shm)\b/.test(name);
    return isKept || name === `${path} (deleted)`;
  });
  return other ?? (names.includes(`${path}-wal`) ? "a file that was renamed" : undefined);
}

/** Only root sees what the server has open. */
export async function replacedFindings(context: Context, path: string): Promise<Finding[]> {
  const { machine, facts } = context;
  const owner = (await facts.server())?.owner;
  if (owner === undefined) return [];
  const { pid, command } = owner;
  const names = descriptorNames(machine.paths.proc, pid);
  const written = writtenInstead(names, await behindLinks(context, path));
  return written === undefined ? [] : [found("DB_REPLACED", { path, pid, command, written })];
}
