/**
 * Changes a config.db as fast as possible, by commands from a seed, until it is killed:
 * `storm.ts FILE each|batched SEED COUNT ANSWERS`. One byte is added to the file ANSWERS for each
 * command, after it was answered.
 */
import { openSync, writeSync } from "node:fs";
import { Errno } from "../../../src/base/errno.ts";
import { silentLog } from "../../../src/base/log.ts";
import { withoutPhantoms } from "../../../src/pmxcfs/replication/local.ts";
import { openTree } from "../../../src/pmxcfs/store/open-tree.ts";
import { stormCommands } from "../storm-commands.ts";

const [file = "", mode = "each", seed = "0", count = "0", answers = ""] = process.argv.slice(2);
const tree = openTree({
  file,
  log: silentLog,
  commit: mode === "batched" ? "batched" : "each",
  // Flushes and checkpoints have to run often.
  batches: { flushMs: 20, changes: 30 },
  checkpoints: { idleMs: 5, pages: 60, retryMs: 5 },
});
if (typeof tree === "string") throw new Error(tree);
const answersFd = openSync(answers, "a");
const answered = Buffer.from(".");
let done = 0;
for (const { command, origin } of stormCommands(Number(seed), Number(count))) {
  // EBUSY: the checkpoint thread has the lock; a server tries again, too (replication/local.ts).
  while (tree.apply(withoutPhantoms(tree.memdb, command), origin) === Errno.EBUSY) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  writeSync(answersFd, answered);
  done++;
  // Lets timers and messages of the checkpoint thread run.
  if (done % 5 === 0) await new Promise((resolve) => setImmediate(resolve));
}
// Waits to be killed: a stop would flush and close.
await new Promise(() => setInterval(() => {}, 1000));
