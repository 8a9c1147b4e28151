/**
 * The requests that only read, as `--check` asks them: each with a body that any pmxcfs accepts
 * and an answer that says whether it is well. None of them changes anything, not even the ones
 * that look like it: SET_STATUS without a body is refused before it does something.
 */
import { Errno } from "../../base/errno.ts";
import {
  CfsIpc,
  GetClusterLogRequest,
  GetStatusRequest,
  GuestPropertiesRequest,
  GuestPropertyRequest,
} from "../../pmxcfs/requests/layouts.ts";
import { newSpan } from "../../wire/struct.ts";

export interface Read {
  readonly name: keyof typeof CfsIpc;
  /** How `pmxcfs-ipc call` names it. */
  readonly call: string;
  readonly body: Buffer;
  /** What the reply must be: JSON, text of at least a byte, or anything. */
  readonly reply: "json" | "text" | "any";
  /** Errors that are right answers. */
  readonly mayFail: readonly Errno[];
  /** No error would be wrong. */
  readonly mustFail?: boolean;
}

const EMPTY = Buffer.alloc(0);

/** `text` with its NUL. */
export function cText(text: string): Buffer {
  return Buffer.from(`${text}\0`, "latin1");
}

/** The body of GET_STATUS: key and node in their fixed arrays of 256 bytes. */
export function statusBody(name: string, nodeName: string): Buffer {
  const span = newSpan(GetStatusRequest.size);
  GetStatusRequest.write.name(span, name);
  GetStatusRequest.write.nodeName(span, nodeName);
  return span.bytes;
}

function clusterLogBody(maxEntries: number): Buffer {
  const span = newSpan(GetClusterLogRequest.size);
  GetClusterLogRequest.write.maxEntries(span, maxEntries);
  return Buffer.concat([span.bytes, cText("")]);
}

function propertyBody(property: string): Buffer {
  return Buffer.concat([newSpan(GuestPropertyRequest.size).bytes, cText(property)]);
}

function propertiesBody(names: readonly string[]): Buffer {
  const span = newSpan(GuestPropertiesRequest.size);
  GuestPropertiesRequest.write.count(span, names.length);
  return Buffer.concat([span.bytes, ...names.map(cText)]);
}

function json(name: keyof typeof CfsIpc, call: string, body: Buffer = EMPTY): Read {
  return { name, call, body, reply: "json", mayFail: [] };
}

/** A token nobody has: its answer is ENOENT. */
const NO_TOKEN = "pmxcfs-ipc-check@pve!none 00000000-0000-0000-0000-000000000000";

export const READS: readonly Read[] = [
  json("GET_FS_VERSION", "get-fs-version"),
  json("GET_CLUSTER_INFO", "get-cluster-info"),
  json("GET_GUEST_LIST", "get-guest-list"),
  {
    name: "GET_STATUS",
    call: "get-status tasklist",
    body: statusBody("tasklist", ""),
    reply: "any",
    mayFail: [Errno.ENOENT],
  },
  {
    name: "GET_CONFIG",
    call: "get-config storage.cfg",
    body: cText("storage.cfg"),
    reply: "any",
    mayFail: [Errno.ENOENT],
  },
  json("GET_CLUSTER_LOG", "get-cluster-log", clusterLogBody(50)),
  { name: "GET_RRD_DUMP", call: "get-rrd-dump", body: EMPTY, reply: "text", mayFail: [] },
  json("GET_GUEST_CONFIG_PROPERTY", "get-guest-config-property lock", propertyBody("lock")),
  json(
    "GET_GUEST_CONFIG_PROPERTIES",
    "get-guest-config-properties lock tags",
    propertiesBody(["lock", "tags"]),
  ),
  {
    name: "VERIFY_TOKEN",
    call: "verify-token TOKEN",
    body: cText(NO_TOKEN),
    reply: "any",
    mayFail: [Errno.ENOENT],
    mustFail: true,
  },
];
