/**
 * Cases about the twelve requests for any pmxcfs: they write nothing and need no files of the
 * runner. Facts and the order of checks: pmxcfs's server.c.
 */
import { Errno } from "../../../base/errno.ts";
import { bodyOf } from "../../../pmxcfs/requests/encoding.ts";
import type { CfsRequest } from "../../../pmxcfs/requests/request.ts";
import { getClusterLog } from "../../../pmxcfs/requests/rows/get-cluster-log.ts";
import { getConfig } from "../../../pmxcfs/requests/rows/get-config.ts";
import {
  getGuestConfigProperties,
  getGuestConfigProperty,
} from "../../../pmxcfs/requests/rows/guest-properties.ts";
import { getStatus } from "../../../pmxcfs/requests/rows/get-status.ts";
import { verifyToken } from "../../../pmxcfs/requests/rows/verify-token.ts";
import { CfsIpc } from "../../../pmxcfs/requests/table.ts";
import type { Body } from "../body.ts";
import type { Case, Deviation, Expect, Need, Step } from "../case.ts";
import { any } from "../expect.ts";

const EINVAL: Expect = { errno: Errno.EINVAL };
const ENOENT: Expect = { errno: Errno.ENOENT };

/** A step that sends request `id` with `body` and compares the answer with `expect`. */
export function call(id: number, body: Body, expect: Expect, deviation?: Deviation): Step {
  return { do: "call", id, body, expect, ...(deviation === undefined ? {} : { deviation }) };
}

/** A step that sends a request of the table with these arguments. */
export function ask<A>(request: CfsRequest<A, unknown>, given: A, expect: Expect): Step {
  return call(request.id, bodyOf(request, given), expect);
}

/** A case on one connection to a pmxcfs. */
export function requestCase(
  name: string,
  shows: string,
  steps: readonly Step[],
  needs: readonly Need[] = [],
): Case {
  return { name, shows, profiles: ["pmxcfs"], needs, steps: [{ do: "connect" }, ...steps] };
}

/** A step that requests the file `path` (GET_CONFIG). */
export function config(path: string, expect: Expect): Step {
  return ask(getConfig, { path }, expect);
}

/** A step that requests one property (GET_GUEST_CONFIG_PROPERTY); guest 0 means all. */
export function property(vmid: number, name: string, expect: Expect): Step {
  return ask(getGuestConfigProperty, { vmid, property: name }, expect);
}

/** A step that requests several properties (GET_GUEST_CONFIG_PROPERTIES); guest 0 means all. */
export function properties(vmid: number, names: readonly string[], expect: Expect): Step {
  return ask(getGuestConfigProperties, { vmid, properties: names }, expect);
}

/** A step that verifies a token line (VERIFY_TOKEN). */
export function token(text: string, expect: Expect): Step {
  return ask(verifyToken, { token: text }, expect);
}

/** vmid, count and names as raw bytes: for requests that the encoders refuse to make. */
function rawProperties(vmid: number, count: number, names: string): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32LE(vmid);
  head[4] = count;
  return Buffer.concat([head, Buffer.from(names, "latin1")]);
}

export const REQUEST_CASES: readonly Case[] = [
  requestCase("version.ok", "GET_FS_VERSION has the counters that PVE uses", [
    call(CfsIpc.GET_FS_VERSION, "", {
      json: {
        starttime: any("number"),
        clinfo: any("number"),
        vmlist: any("number"),
        "corosync.conf": any("number"),
        "storage.cfg": any("number"),
        "priv/token.cfg": any("number"),
        "mapping/usb.cfg": any("number"),
        kvstore: any("object"),
      },
    }),
  ]),
  requestCase("version.body", "GET_FS_VERSION with a body is EINVAL", [
    call(CfsIpc.GET_FS_VERSION, "x", EINVAL),
  ]),
  requestCase("cluster-info.ok", "GET_CLUSTER_INFO is JSON with the node's name", [
    call(CfsIpc.GET_CLUSTER_INFO, "", {
      json: { nodename: any("string"), version: any("number") },
    }),
    call(CfsIpc.GET_CLUSTER_INFO, "", { starts: '{\n"nodename": "' }),
  ]),
  requestCase("cluster-info.body", "GET_CLUSTER_INFO with a body is EINVAL", [
    call(CfsIpc.GET_CLUSTER_INFO, "\0", EINVAL),
  ]),
  requestCase("guest-list.ok", "GET_GUEST_LIST is JSON with a version", [
    call(CfsIpc.GET_GUEST_LIST, "", { json: { version: any("number") } }),
  ]),
  requestCase("guest-list.body", "GET_GUEST_LIST with a body is EINVAL", [
    call(CfsIpc.GET_GUEST_LIST, "\0", EINVAL),
  ]),
  requestCase("rrd-dump.body", "GET_RRD_DUMP with a body is EINVAL", [
    call(CfsIpc.GET_RRD_DUMP, "\0", EINVAL),
  ]),
  requestCase(
    "cluster-log.ok",
    "GET_CLUSTER_LOG is a list for every max, and empty for an unknown user",
    [
      ask(getClusterLog, {}, { json: { data: any("array") } }),
      ask(getClusterLog, { max: 1 }, { json: { data: any("array") } }),
      ask(
        getClusterLog,
        { max: 5, user: "nobody@nowhere" },
        {
          body: '{\n"data": [\n]\n}\n',
        },
      ),
    ],
  ),
  requestCase("cluster-log.short", "GET_CLUSTER_LOG without its user is EINVAL", [
    call(CfsIpc.GET_CLUSTER_LOG, "", EINVAL),
    call(CfsIpc.GET_CLUSTER_LOG, new Uint8Array(16), EINVAL),
  ]),
  requestCase("unknown.ids", "Requests with unused ids are ECHRNG, not EINVAL", [
    ...[0, 9, 14, 15, 77, 0x7fffffff, -2, -4].map((id) => call(id, "", { errno: Errno.ECHRNG })),
    call(9, { pattern: 10_000 }, { errno: Errno.ECHRNG }),
  ]),
  requestCase("config.missing", "GET_CONFIG of a path that is not a regular file is ENOENT", [
    config("no/such/file", ENOENT),
    config("nodes", ENOENT),
    config("/", ENOENT),
    config("", ENOENT),
    config(".", ENOENT),
    config("..", ENOENT),
    config("nodes/../storage.cfg", ENOENT),
  ]),
  requestCase("config.mount-only", "GET_CONFIG of names that only the mount has is ENOENT", [
    config(".version", ENOENT),
    config(".members", ENOENT),
    config(".vmlist", ENOENT),
    config(".clusterlog", ENOENT),
    config(".rrd", ENOENT),
    config("local/config", ENOENT),
  ]),
  requestCase("config.empty", "GET_CONFIG without a path is EINVAL", [
    call(CfsIpc.GET_CONFIG, "", EINVAL),
  ]),
  requestCase("status.missing", "GET_STATUS of an unknown key or node is ENOENT", [
    ask(getStatus, { key: "pmxcfs-ipc-compat-none" }, ENOENT),
    ask(getStatus, { key: "tasklist", node: "no-such-node" }, ENOENT),
  ]),
  requestCase("status.short", "GET_STATUS shorter than its two names is EINVAL", [
    call(CfsIpc.GET_STATUS, "", EINVAL),
    call(CfsIpc.GET_STATUS, new Uint8Array(511), EINVAL),
  ]),
  requestCase("property.bad", "GET_GUEST_CONFIG_PROPERTY too short or of vmid 1 to 99 is EINVAL", [
    property(99, "name", EINVAL),
    property(1, "name", EINVAL),
    property(999_999_999, "name", ENOENT),
    call(CfsIpc.GET_GUEST_CONFIG_PROPERTY, rawProperties(0, 0, "").subarray(0, 4), EINVAL),
    call(CfsIpc.GET_GUEST_CONFIG_PROPERTY, "", EINVAL),
  ]),
  requestCase(
    "properties.bad",
    "GET_GUEST_CONFIG_PROPERTIES with a bad vmid or bad names is EINVAL",
    [
      properties(5, ["name"], EINVAL),
      properties(999_999_999, ["name"], ENOENT),
      call(CfsIpc.GET_GUEST_CONFIG_PROPERTIES, rawProperties(0, 0, "name\0"), EINVAL),
      call(CfsIpc.GET_GUEST_CONFIG_PROPERTIES, rawProperties(0, 1, ""), EINVAL),
      call(CfsIpc.GET_GUEST_CONFIG_PROPERTIES, rawProperties(0, 1, "Name\0"), EINVAL),
      call(CfsIpc.GET_GUEST_CONFIG_PROPERTIES, rawProperties(0, 2, "name\0\0"), EINVAL),
      call(CfsIpc.GET_GUEST_CONFIG_PROPERTIES, rawProperties(0, 1, "name"), EINVAL),
      call(CfsIpc.GET_GUEST_CONFIG_PROPERTIES, rawProperties(0, 1, "name\0cores\0"), EINVAL),
    ],
  ),
  requestCase("token.wrong", "VERIFY_TOKEN of an unknown token is ENOENT", [
    token("nobody@pve!none 00000000-0000-0000-0000-000000000000", ENOENT),
  ]),
  requestCase(
    "token.malformed",
    "VERIFY_TOKEN with a newline, an inner NUL, no final NUL or no body is EINVAL",
    [
      call(CfsIpc.VERIFY_TOKEN, "", EINVAL),
      call(CfsIpc.VERIFY_TOKEN, "x", EINVAL),
      call(CfsIpc.VERIFY_TOKEN, "a@b!c d", EINVAL),
      call(CfsIpc.VERIFY_TOKEN, "a@b!c\nd\0", EINVAL),
      call(CfsIpc.VERIFY_TOKEN, "a@b\0!c d\0", EINVAL),
    ],
  ),
  requestCase(
    "header.lies",
    "A header with a size below the request's is EINVAL, and the next request works",
    [
      { do: "call", id: CfsIpc.GET_FS_VERSION, claims: -1, expect: EINVAL },
      { do: "call", id: CfsIpc.GET_CONFIG, body: "storage.cfg\0", claims: 16, expect: EINVAL },
      { do: "call", id: CfsIpc.GET_STATUS, body: new Uint8Array(512), claims: 20, expect: EINVAL },
      { do: "ping" },
    ],
  ),
  requestCase("header.claims-more", "A header with a size above the sent one is EINVAL", [
    {
      do: "call",
      id: CfsIpc.GET_CONFIG,
      body: "no/such/file\0",
      claims: 60,
      expect: EINVAL,
      deviation: { why: "the C server reads beyond the request, into the ring", expect: ENOENT },
    },
    { do: "call", id: CfsIpc.GET_FS_VERSION, claims: 0x7fffffff, expect: EINVAL },
  ]),
  requestCase("pipeline.mixed", "Different requests in a pipeline are answered in their order", [
    ...[1, 2, 3, 9, 10].map((id): Step => ({ do: "send", id, body: "" })),
    { do: "receive", id: 1, expect: { starts: '{\n"starttime": ' } },
    { do: "receive", id: 2, expect: { starts: '{\n"nodename": ' } },
    { do: "receive", id: 3, expect: { starts: '{\n"version": ' } },
    { do: "receive", id: 9, expect: { errno: Errno.ECHRNG } },
    { do: "receive", id: 10, expect: "any answer" },
  ]),
];
