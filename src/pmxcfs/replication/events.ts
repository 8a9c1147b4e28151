/**
 * Types of a replicated group: the events that the machine takes (from corosync and from this
 * process) and the effects that it returns. The machine has no clock and no socket; its runner
 * passes the time with every event, sends its messages, and carries out its effects in order.
 */
import type { Errno } from "../../base/errno.ts";

/** A process of a group. Node ids and pids are u32. */
export interface Member {
  readonly nodeid: number;
  readonly pid: number;
}

/** The time of an event. */
export interface Instant {
  /** Unix seconds, u32: goes into message headers and epochs, and may jump. */
  readonly seconds: number;
  /** Milliseconds of a clock that never goes back: deadlines and waiting times. */
  readonly ms: number;
}

/** A confchg of the group, as corosync delivers it. `left` may name a process of `members`. */
export interface Confchg {
  readonly members: readonly Member[];
  readonly left: readonly Member[];
  readonly joined: readonly Member[];
}

/** Modes of a member. An error mode (the last two) is left only by `restart`. */
export const Mode = {
  start: "start",
  startSync: "start-sync",
  synced: "synced",
  update: "update",
  leave: "leave",
  versionError: "version-error",
} as const;
export type Mode = (typeof Mode)[keyof typeof Mode];

/** Why a member left its group; decides when it joins again (services/rejoin-policy.ts). */
export type LeaveReason =
  /** A message that is invalid, or not in the present mode; or corosync refused one of ours. */
  | "protocol"
  /** The verification found a different checksum. */
  | "mismatch"
  /** A change arrived while this node had no quorum. */
  | "no-quorum"
  /** config.db could not be written: join again after a write to it has succeeded. */
  | "database"
  /** A newer protocol: never join again with this program. */
  | "version";

/** The outcome of a send. */
export type SendOutcome =
  /** corosync has accepted it. */
  | "sent"
  /** corosync has answered CS_ERR_TRY_AGAIN for 100 ms: one retry. */
  | "again"
  /** corosync has a part of it (a large message goes in fragments); the final outcome follows. */
  | "pending"
  /** Any other error; the message is dropped. */
  | "failed";

/** A message to multicast. The machine offers the same one until it gets the outcome. */
export interface Outgoing {
  readonly bytes: Uint8Array;
  /** For log lines: `STATE`, `NORMAL 1`. */
  readonly name: string;
}

/** Effects to carry out, in this order. */
export type Effect =
  | { readonly kind: "log"; readonly level: "info" | "warn" | "error"; readonly text: string }
  /** The answer to a proposal: 0, a length, or a negative errno. Each ticket is settled once. */
  | { readonly kind: "settled"; readonly ticket: number; readonly result: number }
  /** Leave the group, wait for the confchg without us, close the connection, join on a new one. */
  | { readonly kind: "leave"; readonly reason: LeaveReason }
  | { readonly kind: "mode"; readonly mode: Mode };

/** A proposal that was accepted: its answer comes as a `settled` effect. */
export interface Ticket {
  readonly ticket: number;
}
export type Proposed = Ticket | Errno;

/** `1/3260`, the way log lines name a member. */
export function memberText({ nodeid, pid }: Member): string {
  return `${nodeid}/${pid}`;
}

/** `1/3260, 2/3374`. */
export function membersText(members: Iterable<Member>): string {
  return [...members].map(memberText).join(", ");
}

/** True when node id and pid are equal. */
export function sameMember(one: Member, other: Member): boolean {
  return one.nodeid === other.nodeid && one.pid === other.pid;
}

/**
 * The order of all lists of members: by node id, then pid. As C does, by the low 32 bits of the
 * difference: of equal states the first member's leads, so all members must have the same order.
 */
export function compareMembers(one: Member, other: Member): number {
  return (one.nodeid - other.nodeid) | 0 || (one.pid - other.pid) | 0;
}
