/** `config backup` and `config restore`: make and restore copies of a node's config.db. */
import { counted } from "../base/counted.ts";
import { findDatabaseUser } from "../daemon/node/other-server.ts";
import { backupDatabase, restoreDatabase } from "../pmxcfs/rescue/backup.ts";
import { compareDatabases } from "../pmxcfs/rescue/compare.ts";
import { count, flag, path as pathOption } from "./args.ts";
import { command } from "./command.ts";
import { database } from "./config-options.ts";
import { differenceLine, showName, warn } from "./config-text.ts";
import { lockDatabase } from "./database-lock.ts";
import { CommandFailure, ExitCode } from "./failure.ts";
import { jsonText } from "../base/escape.ts";
import { print, printLine } from "./terminal.ts";

/** Most differences that are listed; the others are only counted. */
const MAX_LINES = 200;

export const backupCommand = command({
  name: "backup",
  summary: "Copy a config.db, even while it is in use, and verify the copy",
  details: [
    "The database is only read: no lock is taken, and neither it nor its other files change. The " +
      "copy is one consistent file, without a -wal, and pmxcfs loads it.",
    "Version and checksum are those of the tree, and are equal on all nodes of a healthy cluster.",
  ],
  examples: [
    [
      "config backup /var/backups/pmxcfs-ipc --keep 14",
      "for a timer: named by time; keeps 14 copies",
    ],
    ["config backup ./before.db", "before a risky change"],
  ],
  exits: [[1, "No copy was made"]],
  options: {
    db: database,
    keep: count({ description: "Keep only this many copies in the directory, the newest", min: 1 }),
    json: flag({ description: "Print one JSON object" }),
  },
  operands: {
    target: pathOption({
      description: "Directory for the copy, or a file to create",
      hint: "FILE|DIR",
      required: true,
    }),
  },
  run({ db, keep, json, target }) {
    const made = backupDatabase({ database: db, target, keep });
    if (typeof made === "string") throw new CommandFailure(`${db}: ${showName(made)}`);
    const { file, version, checksum, files, directories, removed } = made;
    if (json) {
      print(`${jsonText({ schema_version: 1, ...made }, 2)}\n`);
      return;
    }
    for (const name of removed) warn(`removed ${showName(name)} (--keep ${keep})`);
    printLine(
      `${file}: version ${version}, checksum ${checksum}, ` +
        `${counted(files, "file")} in ${counted(directories, "directory")}`,
    );
  },
});

export const restoreCommand = command({
  name: "restore",
  summary: "Show what restoring a backup would change in a config.db; with --yes, restore it",
  details: [
    "`+` would be added, `-` removed, `!` changed. Stop the server before --yes; one that starts " +
      "meanwhile waits. The current database is kept as FILE.bak-TIME.",
    "In a cluster the tree with the highest version wins: other nodes replace a restored older " +
      "tree as soon as this node joins them. Restore single files with `history restore`, or " +
      "restore with all nodes stopped.",
  ],
  examples: [
    ["config restore /var/backups/pmxcfs-ipc/config-20261126T030000Z.db", "what would change"],
    ["config restore /var/backups/pmxcfs-ipc/config-20261126T030000Z.db --yes", "do it"],
  ],
  exits: [[1, "Nothing was restored"]],
  options: {
    db: database,
    yes: flag({ description: "Restore the backup" }),
  },
  operands: {
    backup: pathOption({ description: "Backup to restore", hint: "FILE", required: true }),
  },
  async run({ db, yes, backup }) {
    const compared = compareDatabases(db, backup, { times: false });
    if (typeof compared === "string") warn(showName(compared));
    else {
      const { differences } = compared;
      for (const each of differences.slice(0, MAX_LINES)) print(differenceLine(each));
      const more = differences.length - MAX_LINES;
      if (more > 0) print(`and ${more} more\n`);
      print(`${counted(differences.length, "difference")}\n`);
    }
    if (!yes) {
      warn("nothing was restored: add --yes to restore");
      return ExitCode.FAILURE;
    }
    using _lock = await lockDatabase(db, () => findDatabaseUser(db, [process.pid]));
    const restored = restoreDatabase(backup, db);
    if (typeof restored === "string") throw new CommandFailure(showName(restored));
    if (restored.kept !== undefined) warn(`the old database is kept as ${restored.kept}`);
    printLine(`${db}: restored, version ${restored.version}`);
    return ExitCode.OK;
  },
});
