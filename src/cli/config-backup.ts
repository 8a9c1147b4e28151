/** `config backup` and `config restore`: copies of a node's config.db, and putting one back. */
import { counted } from "../base/counted.ts";
import { findOtherServer } from "../daemon/node/other-server.ts";
import { backupDatabase, restoreDatabase } from "../pmxcfs/rescue/backup.ts";
import { compareDatabases } from "../pmxcfs/rescue/compare.ts";
import { count, flag, path as pathOption } from "./args.ts";
import { command } from "./command.ts";
import { showName, warn } from "./config-text.ts";
import { CommandFailure, ExitCode } from "./failure.ts";
import { jsonText } from "../base/escape.ts";
import { print, printLine } from "./terminal.ts";

const DEFAULT_DB = "/var/lib/pve-cluster/config.db";

/** Differences that are listed one by one. */
const MOST_LINES = 200;

const database = pathOption({ description: "Database", hint: "FILE", default: DEFAULT_DB });

export const backupCommand = command({
  name: "backup",
  summary: "Copy a config.db, also one in use, and verify the copy",
  details: [
    "The database is only read: no lock is taken, and no byte of it or beside it changes. The " +
      "copy is one file of one moment, without a -wal, and pmxcfs loads it.",
    "Version and checksum are those of the tree: all nodes of a healthy cluster have the same.",
  ],
  examples: [
    ["config backup /var/backups/pve --keep 14", "for a timer: a name with the time, 14 stay"],
    ["config backup ./before.db", "before something risky"],
  ],
  exits: [[1, "There is no copy"]],
  options: {
    db: database,
    keep: count({ description: "Number of copies to keep in a directory, the newest", min: 1 }),
    json: flag({ description: "One JSON object" }),
  },
  operands: {
    target: pathOption({
      description: "Directory, or a file that does not exist",
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

const SIGNS = { added: "+", removed: "-", changed: "!", touched: "~" } as const;

export const restoreCommand = command({
  name: "restore",
  summary: "Show what restoring a backup would change in a config.db; with --yes, restore it",
  details: [
    "`+` would be added, `-` removed, `!` changed. Stop the server before --yes; the present " +
      "database is kept as FILE.bak-TIME.",
    "In a cluster the tree with the highest version wins: other nodes replace a restored older " +
      "tree as soon as this node joins them. Restore single files with `history restore`, or " +
      "restore with all nodes stopped.",
  ],
  examples: [
    ["config restore /var/backups/pve/config-20261126T030000Z.db", "what would change"],
    ["config restore /var/backups/pve/config-20261126T030000Z.db --yes", "do it"],
  ],
  exits: [[1, "Nothing is restored"]],
  options: {
    db: database,
    yes: flag({ description: "Restore it" }),
  },
  operands: { backup: pathOption({ description: "Backup", hint: "FILE", required: true }) },
  run({ db, yes, backup }) {
    const compared = compareDatabases(db, backup, { times: false });
    if (typeof compared === "string") warn(showName(compared));
    else {
      const { differences } = compared;
      for (const { kind, path, detail } of differences.slice(0, MOST_LINES)) {
        print(`${SIGNS[kind]} ${showName(path)}${detail === "" ? "" : `  (${detail})`}\n`);
      }
      const more = differences.length - MOST_LINES;
      if (more > 0) print(`and ${more} more\n`);
      print(`${counted(differences.length, "difference")}\n`);
    }
    if (!yes) {
      warn("nothing is restored: --yes does it");
      return ExitCode.FAILURE;
    }
    // Found by the open database only: a server of another database may run.
    const socket = `no-service-${process.pid}`;
    const own = [process.pid];
    const server = findOtherServer({ database: db, pidFile: undefined, socket, own });
    if (server !== undefined) throw new CommandFailure(server);
    const restored = restoreDatabase(backup, db);
    if (typeof restored === "string") throw new CommandFailure(showName(restored));
    if (restored.kept !== undefined) warn(`what was there is kept as ${restored.kept}`);
    printLine(`${db}: restored, version ${restored.version}`);
    return ExitCode.OK;
  },
});
