/**
 * Decodes the events of cpg and checks their bounds. A message or a fragment comes from another
 * node: a bad one is dropped. A confchg is corosync's own: a bad one ends the connection.
 */
import { spanOf } from "../wire/struct.ts";
import type { CpgMember, Fragment } from "./fragments.ts";
import {
  CPG_MEMBERS_MAX,
  CpgAddress,
  CpgConfchgEvent,
  CpgDeliverEvent,
  CpgPartialDeliverEvent,
  GROUP_NAME_BYTES,
} from "./layouts.ts";

/** Why a process is in a list of a confchg (cpg_reason_t). */
export const CpgReason = {
  JOIN: 1,
  LEAVE: 2,
  NODE_DOWN: 3,
  NODE_UP: 4,
  PROCESS_DOWN: 5,
} as const;

export interface CpgChange extends CpgMember {
  /** One of CpgReason. */
  readonly reason: number;
}

/** A change of a group's members. The same node may be in `left` and `joined` at once. */
export interface Confchg {
  readonly members: readonly CpgMember[];
  readonly left: readonly CpgChange[];
  readonly joined: readonly CpgChange[];
}

/** The group name of an event, with a NUL if the length counts one; undefined: a bad length. */
function groupOf(name: Uint8Array, length: number): string | undefined {
  if (length > GROUP_NAME_BYTES) return undefined;
  return Buffer.from(name.buffer, name.byteOffset, length).toString("latin1");
}

/** The address at `at` in `body`; the caller has checked that it is there. */
export function addressAt(body: Buffer, at: number): CpgChange {
  const address = spanOf(body.subarray(at, at + CpgAddress.size));
  const { nodeid, pid, reason } = CpgAddress.read;
  return { nodeid: nodeid(address), pid: pid(address), reason: reason(address) };
}

/** A confchg of `group`; undefined: it is another group's; a string: what is wrong with it. */
export function decodeConfchg(body: Buffer, group: string): Confchg | string | undefined {
  const { size, read } = CpgConfchgEvent;
  if (body.byteLength < size) return `a confchg of ${body.byteLength} bytes`;
  const span = spanOf(body);
  if (groupOf(read.groupName(span), read.groupLength(span)) !== group) return undefined;
  const counts = [read.memberCount(span), read.leftCount(span), read.joinedCount(span)] as const;
  const total = counts[0] + counts[1] + counts[2];
  if (counts.some((count) => count > CPG_MEMBERS_MAX)) return `a confchg of ${total} addresses`;
  if (size + total * CpgAddress.size > body.byteLength) {
    return `a confchg of ${total} addresses in ${body.byteLength} bytes`;
  }
  let at = size;
  const take = (count: number): CpgChange[] =>
    Array.from({ length: count }, () => {
      const address = addressAt(body, at);
      at += CpgAddress.size;
      return address;
    });
  const members = take(counts[0]).map(({ nodeid, pid }) => ({ nodeid, pid }));
  const left = take(counts[1]);
  const joined = take(counts[2]);
  return { members, left, joined };
}

/** A message of `group`; undefined: it is another group's; a string: what is wrong with it. */
export function decodeDeliver(
  body: Buffer,
  group: string,
): { readonly from: CpgMember; readonly message: Buffer } | string | undefined {
  const { size, read } = CpgDeliverEvent;
  if (body.byteLength < size) return `a message event of ${body.byteLength} bytes`;
  const span = spanOf(body);
  if (groupOf(read.groupName(span), read.groupLength(span)) !== group) return undefined;
  const bytes = read.messageBytes(span);
  if (bytes > body.byteLength - size) return `a message of ${bytes} bytes in ${body.byteLength}`;
  const from = { nodeid: read.nodeid(span), pid: read.pid(span) };
  return { from, message: body.subarray(size, size + bytes) };
}

/** A fragment of a message of `group`; undefined or a string as in `decodeDeliver`. */
export function decodeFragment(
  body: Buffer,
  group: string,
): { readonly from: CpgMember; readonly fragment: Fragment } | string | undefined {
  const { size, read } = CpgPartialDeliverEvent;
  if (body.byteLength < size) return `a fragment event of ${body.byteLength} bytes`;
  const span = spanOf(body);
  if (groupOf(read.groupName(span), read.groupLength(span)) !== group) return undefined;
  const bytes = read.fragmentBytes(span);
  if (bytes > body.byteLength - size) return `a fragment of ${bytes} bytes in ${body.byteLength}`;
  const from = { nodeid: read.nodeid(span), pid: read.pid(span) };
  const fragment = {
    messageBytes: read.messageBytes(span),
    type: read.type(span),
    bytes: body.subarray(size, size + bytes),
  };
  return { from, fragment };
}
