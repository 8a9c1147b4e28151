/**
 * All services of src/pmxcfs/requests over a tree in memory, without files and sockets, for tests
 * that send requests in the same process.
 */
import { ClusterLog } from "../../src/pmxcfs/state/cluster-log.ts";
import { Guests } from "../../src/pmxcfs/state/guests.ts";
import { Memdb } from "../../src/pmxcfs/state/memdb.ts";
import { Members } from "../../src/pmxcfs/state/members.ts";
import { Rrd } from "../../src/pmxcfs/state/rrd-values.ts";
import { Status } from "../../src/pmxcfs/state/status.ts";
import { Tokens } from "../../src/pmxcfs/state/tokens.ts";
import { Versions } from "../../src/pmxcfs/state/versions.ts";
import { LocalReplicator } from "../../src/pmxcfs/replication/local.ts";
import { dispatch } from "../../src/pmxcfs/requests/handler.ts";
import { FsVersionText } from "../../src/pmxcfs/requests/fs-version.ts";
import { type Caller, EMPTY_REPLY, type PlainReply } from "../../src/ipc/handler.ts";
import type { CfsReply, Services } from "../../src/pmxcfs/requests/request.ts";
import { spanOf } from "../../src/wire/struct.ts";
import type { TreeEntry } from "./vectors.ts";

export const NODE = "pve1";

export const ROOT: Caller = { pid: 4711, uid: 0, gid: 0, permissions: "read-write" };
export const WWW_DATA: Caller = { pid: 4712, uid: 33, gid: 33, permissions: "read-only" };

/** A tree of these entries, made in their order, with the directories that they need. */
export function memdbOf(entries: readonly TreeEntry[]): Memdb {
  const memdb = new Memdb();
  let inode = 0;
  for (const { path, content } of entries) {
    let parent = memdb.root;
    const names = path.split("/");
    for (const [index, name] of names.entries()) {
      inode++;
      const stamp = { inode, version: inode, writer: 0, mtime: 0, name };
      const file = index === names.length - 1 && content !== undefined;
      parent =
        (file ? undefined : parent.children.get(name)) ??
        memdb.add(
          parent,
          file ? { ...stamp, kind: "file", bytes: content } : { ...stamp, kind: "directory" },
        );
    }
  }
  return memdb;
}

export function servicesOf(memdb: Memdb): Services & { readonly versions: Versions } {
  const versions = new Versions({ memdb });
  const members = new Members({ nodeName: NODE, versions });
  const rrd = new Rrd();
  const status = new Status({ members, rrd });
  const clusterLog = new ClusterLog({ nodeName: NODE, pid: 1 });
  return {
    memdb,
    versions,
    members,
    rrd,
    status,
    fsVersion: new FsVersionText({ versions, status }),
    guests: new Guests({ memdb, versions }),
    tokens: new Tokens(memdb),
    clusterLog,
    replicator: new LocalReplicator({ tree: undefined, status, clusterLog }),
  };
}

/** The reply, after its `afterReply` has run as in the transport. */
export function completed(reply: CfsReply): PlainReply {
  if (typeof reply === "number" || reply instanceof Uint8Array) return reply;
  reply.afterReply();
  return EMPTY_REPLY;
}

/** The reply to one request with a body of bytes or of latin1 text, after its `afterReply`. */
export function ask(
  services: Services,
  caller: Caller,
  id: number,
  body: Uint8Array | string = "",
): PlainReply {
  const bytes = typeof body === "string" ? Buffer.from(body, "latin1") : Buffer.from(body);
  return completed(dispatch(services, caller, id, spanOf(bytes)));
}

/** A reply's body as latin1 text, after its `afterReply`; an errno unchanged. */
export function text(reply: CfsReply): string | number {
  const plain = completed(reply);
  return typeof plain === "number" ? plain : Buffer.from(plain).toString("latin1");
}
