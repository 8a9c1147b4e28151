/**
 * `config import --force` and `config restore` move the files that belong to a database away before
 * they replace it (rescue/import.ts). A power cut or a kill between the two leaves the old
 * config.db without the changes in its -wal, which would be lost silently: the next start brings
 * them back.
 */
import { readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Log } from "../../base/log.ts";
import { isSameFile } from "../../platform/files.ts";

/** Files beside a database that belong to it: SQLite's, and our changes (journal.ts). */
export const COMPANIONS = ["-wal", "-shm", "-journal", ".changes"] as const;

/** Between the database's name and the time, in the name of a database that was replaced. */
export const KEPT_AS = ".bak-";

const statusOf = (path: string) => statSync(path, { bigint: true, throwIfNoEntry: false });

/**
 * To be called before SQLite opens the database `file`. Throws the kernel's error. An old database
 * that is still in its place has a second name, that of the copy that was to be kept.
 */
export function undoReplacement(file: string, log: Log): void {
  const own = statusOf(file);
  if (own === undefined || own.nlink < 2n) return;
  const directory = dirname(file);
  for (const name of readdirSync(directory)) {
    if (!name.startsWith(basename(file) + KEPT_AS)) continue;
    const kept = join(directory, name);
    if (!isSameFile(kept, file)) continue;
    const moved = COMPANIONS.flatMap((suffix) => {
      const there = statusOf(kept + suffix);
      return there === undefined ? [] : [{ suffix, since: there.ctimeNs }];
    });
    // The changes in them do not continue a database that was written since (rename(2) sets ctime).
    const isUsed = moved.some(({ suffix, since }) => {
      return own.mtimeNs > since || statusOf(file + suffix) !== undefined;
    });
    const files = moved.map(({ suffix }) => name + suffix).join(", ");
    const what = `${file}: import --force or restore ended before it replaced the database`;
    if (moved.length > 0 && isUsed) {
      log.error(`${what}, which was changed since: its changes from before are only in ${files}`);
    } else if (moved.length > 0) {
      for (const { suffix } of moved) renameSync(kept + suffix, file + suffix);
      rmSync(kept);
      log.warn(`${what}: ${files} moved back`);
    }
  }
}
