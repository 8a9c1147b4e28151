/**
 * The -wal of a config.db of 0 bytes, or of one that is missing. SQLite deletes it when it opens
 * the database, although it may have all that is left of the tree: after a full disk or an
 * interrupted copy, or when config.db was moved away without it. No C counterpart: pmxcfs loses it.
 */
import { renameSync, statSync, writeFileSync } from "node:fs";
import { compactTime } from "../../base/compact-time.ts";
import type { Log } from "../../base/log.ts";
import { freeName } from "./free-name.ts";
import { behindLinks } from "./sqlite/input-file.ts";
import { WAL_HEADER_BYTES } from "./sqlite/wal-frames.ts";

/**
 * To be called before SQLite opens the database `file`: renames such a -wal to that of an empty
 * file `config.db.empty-TIME`, from which `config export` reads it, and logs that. Throws the
 * kernel's error.
 */
export function keepLoneWal(file: string, log: Log): void {
  const real = behindLinks(file);
  // To SQLite (unixFileSize), a file of one byte is empty, too.
  const there = statSync(real, { throwIfNoEntry: false });
  if (there !== undefined && (there.size > 1 || !there.isFile())) return;
  const bytes = statSync(`${real}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  if (bytes <= WAL_HEADER_BYTES) return;
  const kept = freeName(`${real}.empty-${compactTime()}`, ["", "-wal"]);
  writeFileSync(kept, "", { flag: "wx", mode: 0o600 });
  renameSync(`${real}-wal`, `${kept}-wal`);
  log.error(
    `${file} is empty or missing, and its -wal has ${bytes} bytes, which SQLite would delete: ` +
      `kept as ${kept}-wal; \`pmxcfs-ipc config export --db ${kept} DIR\` gets the files in it`,
  );
}
