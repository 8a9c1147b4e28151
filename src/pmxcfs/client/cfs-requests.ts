/**
 * The bodies of pmxcfs's twelve requests, built from natural arguments (server.c, IPCC.xs and
 * Cluster.pm have the other sides). Text arguments go out as UTF-8. What the protocol cannot carry
 * is a QbFailure before anything is sent.
 */
import { Errno } from "../../base/errno.ts";
import {
  GetClusterLogRequest,
  GetStatusRequest,
  GuestPropertiesRequest,
  GuestPropertyRequest,
  LogClusterMessageRequest,
  NAME_FIELD_BYTES,
  SetStatusRequest,
} from "../requests/layouts.ts";
import { newSpan } from "../../wire/struct.ts";
import { QbFailure } from "../../client/failure.ts";

/** Names one GET_GUEST_CONFIG_PROPERTIES can ask for: its count is one byte. */
const PROPERTY_NAMES_MAX = 255;
/** Lengths of ident and tag are one byte each and count the NUL. */
const LOG_FIELD_BYTES = 254;

function unfit(what: string, errno: Errno = Errno.EINVAL): QbFailure {
  return new QbFailure("size", errno, what);
}

/** One latin1 character per UTF-8 byte: what wire structs take. */
function wireText(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

function terminated(text: string): Buffer {
  return Buffer.from(`${text}\0`, "utf8");
}

function badText(label: string, text: string, most: number): QbFailure | undefined {
  if (text.includes("\0")) return unfit(`${label} has a NUL in it`);
  const size = Buffer.byteLength(text, "utf8");
  if (size <= most) return undefined;
  return unfit(`${label} has ${size} bytes, at most ${most} fit`, Errno.ENAMETOOLONG);
}

function badVmid(vmid: number): QbFailure | undefined {
  const good = Number.isInteger(vmid) && vmid >= 0 && vmid <= 0xffffffff;
  return good ? undefined : unfit(`${vmid} is no guest's id: 0 to 4294967295`);
}

/** SET_STATUS: `value` as it is; none at all removes the key. */
export function setStatusBody(key: string, value?: Uint8Array): Buffer | QbFailure {
  const bad = badText("the key", key, NAME_FIELD_BYTES - 1);
  if (bad !== undefined) return bad;
  const span = newSpan(SetStatusRequest.size);
  SetStatusRequest.write.name(span, wireText(key));
  return value === undefined ? span.bytes : Buffer.concat([span.bytes, value]);
}

/** GET_STATUS: an empty `node` is the node that answers. */
export function getStatusBody(key: string, node = ""): Buffer | QbFailure {
  const most = NAME_FIELD_BYTES - 1;
  const bad = badText("the key", key, most) ?? badText("the node's name", node, most);
  if (bad !== undefined) return bad;
  const span = newSpan(GetStatusRequest.size);
  GetStatusRequest.write.name(span, wireText(key));
  GetStatusRequest.write.nodeName(span, wireText(node));
  return span.bytes;
}

/** GET_CONFIG: a path below /etc/pve. */
export function getConfigBody(path: string): Buffer | QbFailure {
  return badText("the path", path, Number.MAX_SAFE_INTEGER) ?? terminated(path);
}

/** An entry of the cluster log, as a caller writes it. */
export interface LogEntry {
  /** syslog's, 0 to 7; 6 (info) unless given. The server drops what is above 7. */
  readonly priority?: number;
  /** Who did it: `root@pam`. */
  readonly user: string;
  /** The program: `pvedaemon`. */
  readonly tag: string;
  readonly message: string;
}

/** LOG_CLUSTER_MSG. */
export function logClusterMessageBody(entry: LogEntry): Buffer | QbFailure {
  const { priority = 6, user, tag, message } = entry;
  const bad =
    badText("the user", user, LOG_FIELD_BYTES) ??
    badText("the tag", tag, LOG_FIELD_BYTES) ??
    badText("the message", message, Number.MAX_SAFE_INTEGER);
  if (bad !== undefined) return bad;
  if (!Number.isInteger(priority) || priority < 0 || priority > 255) {
    return unfit(`${priority} is no priority: 0 to 7`);
  }
  const span = newSpan(LogClusterMessageRequest.size);
  const [ident, tagBytes] = [terminated(user), terminated(tag)];
  LogClusterMessageRequest.write.priority(span, priority);
  LogClusterMessageRequest.write.identBytes(span, ident.byteLength);
  LogClusterMessageRequest.write.tagBytes(span, tagBytes.byteLength);
  return Buffer.concat([span.bytes, ident, tagBytes, terminated(message)]);
}

/** GET_CLUSTER_LOG: the newest `max` entries (0: the server's 50) of `user` ("": of all). */
export function getClusterLogBody(max = 0, user = ""): Buffer | QbFailure {
  const bad = badText("the user", user, Number.MAX_SAFE_INTEGER);
  if (bad !== undefined) return bad;
  if (!Number.isInteger(max) || max < 0 || max > 0xffffffff) return unfit(`${max} is no number`);
  const span = newSpan(GetClusterLogRequest.size);
  GetClusterLogRequest.write.maxEntries(span, max);
  return Buffer.concat([span.bytes, terminated(user)]);
}

/** GET_GUEST_CONFIG_PROPERTY: one property of one guest, or of all (0). */
export function guestPropertyBody(vmid: number, name: string): Buffer | QbFailure {
  const bad = badVmid(vmid) ?? badText("the property", name, Number.MAX_SAFE_INTEGER);
  if (bad !== undefined) return bad;
  const span = newSpan(GuestPropertyRequest.size);
  GuestPropertyRequest.write.vmid(span, vmid);
  return Buffer.concat([span.bytes, terminated(name)]);
}

/** GET_GUEST_CONFIG_PROPERTIES: several properties of one guest, or of all (0). */
export function guestPropertiesBody(vmid: number, names: readonly string[]): Buffer | QbFailure {
  if (names.length > PROPERTY_NAMES_MAX) {
    return unfit(`${names.length} properties; one request takes ${PROPERTY_NAMES_MAX}`);
  }
  for (const name of names) {
    const bad = badText("a property", name, Number.MAX_SAFE_INTEGER);
    if (bad !== undefined) return bad;
  }
  const bad = badVmid(vmid);
  if (bad !== undefined) return bad;
  const span = newSpan(GuestPropertiesRequest.size);
  GuestPropertiesRequest.write.vmid(span, vmid);
  GuestPropertiesRequest.write.count(span, names.length);
  return Buffer.concat([span.bytes, ...names.map(terminated)]);
}

/** VERIFY_TOKEN: `user@realm!name secret`, a whole line of priv/token.cfg. */
export function verifyTokenBody(token: string): Buffer | QbFailure {
  return badText("the token", token, Number.MAX_SAFE_INTEGER) ?? terminated(token);
}
