/**
 * A server whose files cannot grow beyond 1 MiB (ulimit -f), on a larger config.db: a copy of it is
 * asked for, then another file takes its place. Prints the names in its directory, and the log.
 */
import { readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { drained } from "../../../src/base/steps.ts";
import { openTree } from "../../../src/pmxcfs/store/open-tree.ts";
import { rememberingLog } from "../support.ts";

const [directory = ""] = process.argv.slice(2);
const file = join(directory, "config.db");
const log = rememberingLog();
const tree = openTree({ file, log });
if (typeof tree === "string") throw new Error(tree);
const copy = drained(tree.storage.keepCopy("x"));
const copies = readdirSync(join(directory, "backup"));
renameSync(join(directory, "other.db"), file);
// It is looked at once a second.
const names = new Set<string>();
for (let at = 0; at < 25; at++) {
  await Bun.sleep(100);
  for (const name of readdirSync(directory)) names.add(name);
}
const { lines } = log;
process.stdout.write(JSON.stringify({ copy, copies, names: [...names], lines }));
process.exit(0);
