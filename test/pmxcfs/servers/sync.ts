/**
 * A process in the middle of a sync: `sync.ts FILE COUNT BYTES` receives that many files, and stops
 * when the writing thread has all rows, before it is told to commit.
 */
import { silentLog } from "../../../src/base/log.ts";
import { openTree } from "../../../src/pmxcfs/store/open-tree.ts";
import { filesOfLeader } from "../leader-files.ts";

const [file = "", count = "", bytes = ""] = process.argv.slice(2);
const tree = openTree({ file, log: silentLog });
if (typeof tree === "string") throw new Error(tree);
const steps = tree.commitSync([], filesOfLeader(Number(count), Number(bytes)));
// Parts of rows are long steps; the last of them comes before the thread commits.
let rows = 0;
for (let step = steps.next(); rows < Math.floor(Number(count) / 64); step = steps.next()) {
  if (step.done === true) throw new Error("over before all rows were given");
  if ((step.value ?? 1) > 1) rows++;
}
process.stdout.write("given\n");
setInterval(() => {}, 1000);
