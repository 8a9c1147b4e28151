/** SET_STATUS in a cluster: which values are sent to the other nodes. corosync is a stand-in. */
import { afterEach, expect, mock, spyOn, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { silentLog } from "../../src/base/log.ts";
import { Cmap } from "../../src/corosync/cmap.ts";
import { CpgGroup, type CpgCallbacks } from "../../src/corosync/cpg.ts";
import { CpgReason } from "../../src/corosync/cpg-events.ts";
import { CsError, CsFailure } from "../../src/corosync/cs-error.ts";
import { Quorum } from "../../src/corosync/quorum.ts";
import { decodeNormal } from "../../src/pmxcfs/replication/message.ts";
import { Cluster } from "../../src/pmxcfs/replication/services/cluster.ts";
import { STATUS_GROUP } from "../../src/pmxcfs/replication/services/group-names.ts";
import { ClusterLog } from "../../src/pmxcfs/state/cluster-log.ts";
import { Memdb } from "../../src/pmxcfs/state/memdb.ts";
import { Members } from "../../src/pmxcfs/state/members.ts";
import { Rrd } from "../../src/pmxcfs/state/rrd-values.ts";
import { Status } from "../../src/pmxcfs/state/status.ts";
import { Versions } from "../../src/pmxcfs/state/versions.ts";
import { MemoryRows } from "../../src/pmxcfs/store/memory-rows.ts";
import { eventually } from "../support/eventually.ts";
import { treeOf } from "./traces/database.ts";

const SELF = { nodeid: 1, pid: 7 };
const ABSENT = new CsFailure(CsError.LIBRARY, "no corosync");

/** A node whose status group has no other member; `sent` has the keys of its KV_UPDATEs. */
function clusterAlone() {
  const sent: string[] = [];
  let joined: CpgCallbacks | undefined;
  const group = {
    ...SELF,
    closed: false,
    together: (sends: () => void) => sends(),
    mcast(bytes: Uint8Array) {
      const body = decodeNormal(Buffer.from(bytes))?.body ?? Buffer.alloc(1);
      sent.push(body.toString("latin1", 0, body.indexOf(0)));
      return CsError.OK;
    },
    join: async () => await Promise.resolve(CsError.OK),
    leave: async () => await Promise.resolve(CsError.NOT_EXIST),
    finalize: async () => {
      await Promise.resolve();
    },
    close() {},
  };
  spyOn(Quorum, "connect").mockImplementation(async () => await Promise.resolve(ABSENT));
  spyOn(Cmap, "connect").mockImplementation(async () => await Promise.resolve(ABSENT));
  spyOn(CpgGroup, "connect").mockImplementation(async (name, callbacks) => {
    await Promise.resolve();
    if (name !== STATUS_GROUP) return ABSENT;
    joined = callbacks;
    return group as unknown as CpgGroup;
  });
  const members = new Members({
    nodeName: "n1",
    versions: new Versions({ memdb: new Memdb() }),
  });
  const cluster = new Cluster({
    tree: treeOf(new MemoryRows(), () => 5),
    members,
    status: new Status({ members, rrd: new Rrd() }),
    clusterLog: new ClusterLog({ nodeName: "n1", pid: SELF.pid }),
    address: async () => await Promise.resolve("192.0.2.9"),
    log: silentLog,
  });
  const join = async (): Promise<void> => {
    cluster.start();
    await eventually("the status group is connected", () => joined !== undefined);
    const joining = { ...SELF, reason: CpgReason.JOIN };
    await joined?.confchg({ members: [SELF], joined: [joining], left: [] });
  };
  return { cluster, members, sent, join };
}

afterEach(() => {
  mock.restore();
});

test("a value that this node refuses for its size or number is not sent", async () => {
  const { cluster, sent, join } = clusterAlone();
  await join();
  sent.length = 0;
  expect(cluster.setStatus("large", Buffer.alloc(32 * 1024 + 1))).toBe(Errno.EFBIG);
  expect(cluster.setStatus("largest", Buffer.alloc(32 * 1024))).toBe(0);
  for (let key = 1; key < 4096; key++) cluster.setStatus(`key${key}`, Buffer.from("x"));
  expect(cluster.setStatus("one too many", Buffer.from("x"))).toBe(Errno.ENOSPC);
  // As in C: refused here, and sent.
  expect(cluster.setStatus("rrd/x", Buffer.from("no NUL"))).toBe(Errno.ENOMEM);
  await eventually("the last value is sent", () => sent.includes("rrd/x"));
  expect(sent).not.toContain("large");
  expect(sent).not.toContain("one too many");
  expect(sent.slice(0, 2)).toEqual(["largest", "key1"]);
  await cluster.stop();
});

test("an invalid address before the group is joined does not replace a valid one", async () => {
  const { cluster, members, join } = clusterAlone();
  expect(cluster.setStatus("nodeip", Buffer.from("192.0.2.1\0"))).toBe(0);
  expect(cluster.setStatus("nodeip", Buffer.from("no NUL"))).toBe(Errno.ENOMEM);
  const setNodeIp = spyOn(members, "setNodeIp");
  await join();
  await eventually("the address is set again", () => setNodeIp.mock.calls.length > 0);
  expect(setNodeIp.mock.calls[0]?.[0]).toBe("192.0.2.1");
  await cluster.stop();
});
