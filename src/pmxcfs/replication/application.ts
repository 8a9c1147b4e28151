/**
 * What the machine needs from the state it replicates: the database (dcdb.ts) or the status
 * (status-group.ts). The result of a call depends only on what was delivered so far, since every
 * member must come to the same one. Long calls run in steps; the next event waits for the last.
 */
import type { Steps } from "../../base/steps.ts";
import type { Instant, LeaveReason, Member } from "./events.ts";
import type { NormalMessage } from "./message.ts";
import type { Lifetime } from "./queue.ts";

/** A NORMAL message to send; the machine adds header and count. */
export interface NormalSend {
  readonly subtype: number;
  readonly body: Uint8Array;
  /** A later message with the same key takes this one's place while it waits to be sent. */
  readonly key?: string;
}

/** The outcome of applying a NORMAL message. */
export interface Applied {
  /** For the caller on the node that sent it: 0, a length, or a negative errno. */
  readonly result: number;
  /** Set when this node must leave the group. */
  readonly leave?: Leave;
  readonly sends?: readonly NormalSend[];
}

/** Why this node leaves the group: a reason for the program, a text for the log. */
export interface Leave {
  readonly reason: LeaveReason;
  readonly text: string;
}

/** The reason `protocol` of LeaveReason: this node leaves and joins again. */
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
  /** One for each state: true when it equals the leader's. */
  readonly synced: readonly boolean[];
  /** The member that sends the updates; undefined in a group without updates. */
  readonly leader?: Member;
  /** Set when this node leads: bodies of the UPDATEs to send before UPDATE_COMPLETE. */
  readonly updates?: Iterator<Uint8Array>;
  readonly sends?: readonly NormalSend[];
}

/**
 * A checksum of the state at one point of the total order, computed in steps that are short enough
 * for the event loop.
 */
export interface ChecksumJob {
  /** Does one step; returns the 32 bytes after the last one. */
  step(): Uint8Array | undefined;
}

export interface Application {
  /** The tag of log lines: `dcdb`, `status`. */
  readonly tag: string;
  readonly protocol: number;
  /** What waits during a synchronisation, for log lines. */
  readonly whileSyncing: string;
  apply(message: NormalMessage, from: Member, at: Instant): Applied;
  /**
   * What is applied from now on is stored by `store`, all of it together; then the callers are
   * answered. `store` returns why this node must leave if that failed. Undefined in a group that
   * stores nothing.
   */
  gather?(): void;
  store?(): Leave | undefined;
  /**
   * What makes a message superfluous while it waits; nothing for own messages, which are sent again
   * when another member joins.
   */
  lifetimeOf?(message: NormalMessage, from: Member): Lifetime | undefined;
  /** The members changed; sorted by (nodeid, pid), this node among them. */
  membersChanged(members: readonly Member[], at: Instant): void;
  /** The body of a STATE, as of now. */
  state(at: Instant): Uint8Array;
  /** All states have arrived; sorted by (nodeid, pid), that of `own` among them. */
  compare(states: readonly MemberState[], own: Member, at: Instant): Steps<Comparison | Leave>;
  /** Keeps the body of an UPDATE until `commit`. */
  keepUpdate(body: Buffer): Leave | undefined;
  /** Takes the leader's state. Nothing changes when it is ended early. */
  commit(at: Instant): Steps<Leave | undefined>;
  /** A synchronisation is complete or was aborted: forget its states and updates. */
  dropSync(): void;
  /** The mode became SYNCED; returns what to send then. */
  synced(at: Instant): readonly NormalSend[];
  /** True when there is work to do between events; `work` does a step of it. */
  readonly busy?: boolean;
  work?(): void;
  /** Undefined in a group that is not verified. */
  checksum?(): Steps<ChecksumJob>;
  /**
   * A message that changes nothing on any node, to find out whether sends come back; undefined when
   * none may be sent now.
   */
  probe?(): NormalSend | undefined;
}
