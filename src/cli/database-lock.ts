/** The lock of a node's database (node-lock.ts), for the commands that change or replace it. */
import { dirname, join } from "node:path";
import { createLog, defaultFormat } from "../base/log.ts";
import { LOCK_FILE } from "../base/paths.ts";
import { NodeLock } from "../daemon/node/node-lock.ts";
import { CommandFailure } from "./failure.ts";

/**
 * Takes the lock: a server that starts meanwhile waits for the end of the command, and does not
 * load a file whose -wal has been moved already. `user`: one line about a server that has the
 * database open, with which this fails at once; with one that only has the lock, after 10 s.
 */
export async function lockDatabase(db: string, user: () => string | undefined): Promise<NodeLock> {
  const server = user();
  if (server !== undefined) throw new CommandFailure(server);
  const log = createLog({ level: "info", format: defaultFormat(process.env) });
  const lock = await NodeLock.take(join(dirname(db), LOCK_FILE), log, user);
  if (typeof lock === "string") throw new CommandFailure(user() ?? `${db}: ${lock}`);
  return lock;
}
