/** `config flush` and `config compact`: maintain a node's own config.db. */
import { existsSync } from "node:fs";
import { createLog, defaultFormat } from "../base/log.ts";
import { lockHolders } from "../pmxcfs/store/lock-holders.ts";
import { openTree } from "../pmxcfs/store/open-tree.ts";
import { compactFile } from "../pmxcfs/store/upkeep.ts";
import { command } from "./command.ts";
import { database } from "./config-options.ts";
import { lockDatabase } from "./database-lock.ts";
import { CommandFailure } from "./failure.ts";
import { printLine } from "./terminal.ts";

/** One line about a server that has the database open; undefined when there is none. */
function userOf(db: string): string | undefined {
  const [server] = lockHolders(db);
  return server === undefined
    ? undefined
    : `${db}: process ${server} has it open, and will write the changes`;
}

export const flushCommand = command({
  name: "flush",
  summary: "Write the pending changes in config.db.changes into config.db",
  details: [
    "A server with --commit batched that is killed leaves its last changes in a journal beside " +
      "the database. The next start of pmxcfs-ipc applies them itself; run this command before " +
      "another server is started on the database (the original pmxcfs refuses it).",
  ],
  examples: [["config flush", "before the original pmxcfs is started again"]],
  options: { db: database },
  async run({ db }) {
    if (!existsSync(db)) throw new CommandFailure(`${db}: no such file`);
    // A server that starts meanwhile would replay the journal, too, and accept changes after that.
    using _lock = await lockDatabase(db, () => userOf(db));
    const log = createLog({ level: "info", format: defaultFormat(process.env) });
    const tree = openTree({ file: db, log });
    if (typeof tree === "string") throw new CommandFailure(`${db}: ${tree}`);
    using flushed = tree;
    printLine(`${db}: no pending changes, version ${flushed.version}`);
  },
});

const kib = (bytes: number): string => `${Math.ceil(bytes / 1024)} KiB`;

export const compactCommand = command({
  name: "compact",
  summary: "Remove the free pages of a config.db",
  details: [
    "Removed files leave free pages in the database, which does not shrink by itself. A server " +
      "may have it open: its changes wait until this is done, reads do not.",
  ],
  examples: [["config compact", "after a large file was removed"]],
  options: { db: database },
  run: ({ db }) => {
    const compacted = compactFile(db);
    if (typeof compacted === "string") throw new CommandFailure(`${db}: ${compacted}`);
    printLine(`${db}: ${kib(compacted.before)} before, ${kib(compacted.after)} now`);
  },
});
