/** `config import` and `config rename-node`: the commands that write a config.db. */
import { existsSync } from "node:fs";
import { PVE } from "../base/paths.ts";
import { findDatabaseUser } from "../daemon/node/other-server.ts";
import { importDirectory } from "../pmxcfs/rescue/import.ts";
import { renameMountedNode } from "../pmxcfs/rescue/rename-mounted-node.ts";
import { renameNode } from "../pmxcfs/rescue/rename-node.ts";
import { flag, path as pathOption, text } from "./args.ts";
import { command } from "./command.ts";
import { counted } from "../base/counted.ts";
import { database } from "./config-options.ts";
import { showName, warn } from "./config-text.ts";
import { lockDatabase } from "./database-lock.ts";
import { CommandFailure } from "./failure.ts";
import { printLine } from "./terminal.ts";

export const importCommand = command({
  name: "import",
  summary: "Make a config.db that pmxcfs loads from a copy of /etc/pve",
  details: [
    "Symlinks, FIFOs, sockets, devices, files over 1 MiB and the files that pmxcfs generates " +
      "(.version, .members, ...) are left out and named on stderr. The new database is read back " +
      "and verified before it is renamed to FILE.",
    "With --force, an existing database is kept as FILE.bak-TIME, with its -wal and journals. " +
      "Stop pve-cluster first: the command refuses a database that a server has open, and a " +
      "server that starts meanwhile waits.",
  ],
  examples: [["config import ./etc-pve --db ./config.db", "for a test rig"]],
  options: {
    db: pathOption({ description: "Database to create", hint: "FILE", required: true }),
    force: flag({ description: "Replace an existing database, which is kept as FILE.bak-TIME" }),
  },
  operands: {
    dir: pathOption({ description: "Copy of /etc/pve to import", hint: "DIR", required: true }),
  },
  async run({ db, force, dir }) {
    const user = (): string | undefined => findDatabaseUser(db, [process.pid]);
    // The printed fixes import a new file beside config.db while they hold its lock themselves.
    using _lock = force ? await lockDatabase(db, user) : undefined;
    const imported = importDirectory(dir, db, { replace: force });
    if (typeof imported === "string") throw new CommandFailure(imported);
    const { leftOut, kept, files, directories } = imported;
    for (const { path, reason } of leftOut) warn(`left out: ${showName(path)} (${reason})`);
    if (kept !== undefined) warn(`${db}: the old database is kept as ${kept}`);
    printLine(`${db}: ${counted(files, "file")} in ${counted(directories, "directory")}`);
  },
});

export const renameNodeCommand = command({
  name: "rename-node",
  summary: "Rename a node's directory, guests included",
  details: [
    "In a config.db that no server has open, all changes are one transaction: after a crash the " +
      "database has either the old name or the new one. If a directory with the new name exists, " +
      "the entries are moved into it; if a name is in both, nothing is changed and the command " +
      "fails. A copy is kept as FILE.bak-TIME. Other places that name the node (corosync.conf, " +
      "storage.cfg, ha, jobs, the host's own files) are printed. A server that starts meanwhile " +
      "waits.",
    "With --mount it works on a mounted tree, file by file, and needs quorum: each guest exists " +
      "exactly once at any time, and the next run completes an interrupted one.",
  ],
  examples: [
    ["config rename-node pve1 pve-new", "after the host was renamed, with the server stopped"],
  ],
  options: {
    db: database,
    mount: pathOption({
      description: `Work through the mount instead; without a value: ${PVE.mount}`,
      hint: "DIR",
      bare: PVE.mount,
    }),
  },
  operands: {
    old: text({ description: "Current name of the node", hint: "OLD", required: true }),
    new: text({ description: "New name of the node", hint: "NEW", required: true }),
  },
  async run({ db: file, mount, old, new: name }) {
    const db = mount ?? file;
    const isAtRest = mount === undefined;
    if (isAtRest && !existsSync(file)) throw new CommandFailure(`${file}: no such file`);
    const user = (): string | undefined => findDatabaseUser(file, [process.pid]);
    using _lock = isAtRest ? await lockDatabase(file, user) : undefined;
    const renamed = isAtRest ? renameNode(file, old, name) : renameMountedNode(mount, old, name);
    if (typeof renamed === "string") throw new CommandFailure(`${db}: ${renamed}`);
    if (renamed.kept !== undefined) warn(`${db}: a copy is kept as ${renamed.kept}`);
    for (const line of renamed.mentions) warn(`still names ${old}: ${showName(line)}`);
    printLine(
      renamed.entries === 0
        ? `${db}: nothing to do: nodes/${name} exists and nodes/${old} does not`
        : `${db}: moved ${counted(renamed.entries, "entry")} of nodes/${old} to nodes/${name}, ` +
            `including ${counted(renamed.guests, "guest")}`,
    );
  },
});
