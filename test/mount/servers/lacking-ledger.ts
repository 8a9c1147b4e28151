/**
 * lacking-ledger.ts DIRECTORY END: mounts a tree, has its ledger lack an inode of a sync, and ends:
 * `stop`, as in a restart, or `kill`. Prints before and after the sync whether the mount can be
 * handed over.
 */
import { writeSync } from "node:fs";
import { silentLog } from "../../../src/base/log.ts";
import { drained } from "../../../src/base/steps.ts";
import { Mount } from "../../../src/daemon/node/mount.ts";
import { GuestClashes } from "../../../src/pmxcfs/mount/guest-clash.ts";
import { LocalReplicator } from "../../../src/pmxcfs/replication/local.ts";
import { ChangeLedger } from "../../../src/pmxcfs/store/change-ledger.ts";
import { openTree } from "../../../src/pmxcfs/store/open-tree.ts";
import { eventually } from "../../support/eventually.ts";

const [directory = "", end] = process.argv.slice(2);
const log = silentLog;
const tree = openTree({ file: `${directory}/config.db`, log });
if (typeof tree === "string") throw new Error(tree);
const text = () => Buffer.alloc(0);
const ledger = new ChangeLedger({ file: `${directory}/ledger`, loadedVersion: 1, log });
const mount = await Mount.open({
  directory: "/etc/pve",
  memdb: tree.memdb,
  replicator: new LocalReplicator({ tree, status: { set: () => 0 }, clusterLog: { add() {} } }),
  texts: {
    version: text,
    members: text,
    vmlist: text,
    clusterLog: text,
    rrd: text,
    debug: () => false,
    setDebug() {},
  },
  clashes: new GuestClashes(undefined, log),
  nodeName: "pve1",
  gid: 0,
  wake: undefined,
  hangGuard: "off",
  requestTimeoutSeconds: 0,
  hooks: {},
  mayPoll: () => false,
  ledger,
  log,
  lost() {},
});
if (typeof mount === "string") throw new Error(mount);
await eventually("INIT is answered", () => mount.session?.negotiated !== undefined);
const before = mount.canBeHandedOver;
drained(ledger.took([{ inode: 2 ** 40 }], 2));
writeSync(1, `${before} ${mount.canBeHandedOver}\n`);
if (end === "kill") process.kill(process.pid, "SIGKILL");
mount.handOver();
mount.close();
tree[Symbol.dispose]();
process.exit(0);
