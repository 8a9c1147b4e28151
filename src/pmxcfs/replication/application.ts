/**
 * What the machine needs of the thing it replicates: the database (dcdb.ts) or the status
 * (status-group.ts). All calls are a function of what was delivered so far: every member must come
 * to the same result. What takes long is done in steps; the group's next event waits for the last.
 */
import type { Steps } from "../../base/steps.ts";
import type { Instant, LeaveReason, Member } from "./events.ts";
import type { NormalMessage } from "./message.ts";

/** A NORMAL message to send; the machine adds header and count. */
export interface NormalSend {
  readonly subtype: number;
  readonly body: Uint8Array;
  /** A later message with the same key takes this one's place while it waits to be sent. */
  readonly key?: string;
}

/** What applying a NORMAL message came to. */
export interface Applied {
  /** For the caller on the node that sent it: 0, a length, or a negative errno. */
  readonly result: number;
  /** Set when this node must leave the group. */
  readonly leave?: Leave;
  readonly sends?: readonly NormalSend[];
}

/** Why to leave: for the program, and for people. */
export interface Leave {
  readonly reason: LeaveReason;
  readonly text: string;
}

/** What another member sent cannot be, or not now: the group is left to be joined anew. */
export function protocolLeave(text: string): Leave {
  return { reason: "protocol", text };
}

/** A member's state, as it was multicast. */
export interface MemberState {
  readonly member: Member;
  readonly state: Buffer;
}

/** How the members' states compare. */
export interface Comparison {
  /** One for each state: the member has what the leader has. */
  readonly synced: readonly boolean[];
  /** Who sends the updates; undefined in a group without. */
  readonly leader?: Member;
  /** This node leads: bodies of the UPDATEs to send, then UPDATE_COMPLETE. */
  readonly updates?: Iterator<Uint8Array>;
  readonly sends?: readonly NormalSend[];
}

/**
 * A checksum of what was noted at one point of the order, computed in steps that are short enough
 * for the event loop.
 */
export interface ChecksumJob {
  /** One step; the 32 bytes when it was the last one. */
  step(): Uint8Array | undefined;
}

export interface Application {
  /** The tag of log lines: `dcdb`, `status`. */
  readonly tag: string;
  readonly protocol: number;
  /** What waits during a synchronisation, for log lines. */
  readonly whileSyncing: string;
  apply(message: NormalMessage, from: Member, at: Instant): Applied;
  /** The members changed; sorted by (nodeid, pid), this node among them. */
  membersChanged(members: readonly Member[], at: Instant): void;
  /** What a STATE says, now. */
  state(at: Instant): Uint8Array;
  /** All states are there, sorted by (nodeid, pid), `own` among them. */
  compare(states: readonly MemberState[], own: Member, at: Instant): Steps<Comparison | Leave>;
  /** Keeps the body of an UPDATE until `commit`. */
  keepUpdate(body: Buffer): Leave | undefined;
  /** Makes this node equal to the leader; the number of updates. Ended early, nothing changed. */
  commit(at: Instant): Steps<number | Leave>;
  /** A synchronisation that began is over or was broken off: forget its states and updates. */
  dropSync(): void;
  /** The mode became SYNCED: what to send then. */
  synced(at: Instant): readonly NormalSend[];
  /** There is work to do between events; `work` does a step of it. */
  readonly busy?: boolean;
  work?(): void;
  /** Undefined in a group that is not verified. */
  checksum?(): Steps<ChecksumJob>;
  /** A message that changes nothing anywhere, to see whether sends come back. */
  probe?(): NormalSend;
}
