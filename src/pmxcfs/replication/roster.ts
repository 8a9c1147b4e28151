/**
 * The members of a group during one synchronisation: which have sent a state, which are synced, and
 * which is the lowest.
 */
import { ClockDifference } from "./clock-difference.ts";
import { compareMembers, sameMember, type Member } from "./events.ts";

/** A member as the machine keeps it. */
export interface Peer {
  readonly member: Member;
  synced: boolean;
  /** Undefined until its STATE has arrived; empty once it was compared. */
  state: Buffer | undefined;
  /** Bytes of the STATE that arrived last in this synchronisation. */
  stateBytes: number | undefined;
  /** Kept across confchgs. */
  readonly clock: ClockDifference;
}

/** Replaces a state that was compared and is no longer needed. */
const COMPARED = Buffer.alloc(0);

export class Roster {
  /** The SYNC_START for these members has arrived. */
  syncStarted = false;
  /** The member that sends the updates. */
  leader: Member | undefined;
  /** UPDATEs received, their bytes, and those of the largest. */
  updates = 0;
  updateBytes = 0;
  largestUpdate = 0;
  #peers: Peer[] = [];
  #lowest = 0;

  /** Sorted by (nodeid, pid). */
  get peers(): readonly Peer[] {
    return this.#peers;
  }

  get members(): Member[] {
    return this.#peers.map(({ member }) => member);
  }

  /** The smallest node id; 0 without members. */
  get lowest(): number {
    return this.#lowest;
  }

  /** Replaces the members. Those of a confchg are not synced. */
  set(members: readonly Member[], synced = false): void {
    const before = this.#peers;
    this.#peers = members.toSorted(compareMembers).map(({ nodeid, pid }) => ({
      member: { nodeid, pid },
      synced,
      state: undefined,
      stateBytes: undefined,
      clock:
        before.find(({ member }) => sameMember(member, { nodeid, pid }))?.clock ??
        new ClockDifference(),
    }));
    this.syncStarted = false;
    this.leader = undefined;
    this.updates = 0;
    this.updateBytes = 0;
    this.largestUpdate = 0;
    // Not that of the first member: ids are compared as unsigned here, also in C.
    this.#lowest = members.length === 0 ? 0 : Math.min(...members.map(({ nodeid }) => nodeid));
  }

  find(member: Member): Peer | undefined {
    return this.#peers.find((peer) => sameMember(peer.member, member));
  }

  /** Counts an update of the leader. */
  countUpdate(bytes: number): void {
    this.updates++;
    this.updateBytes += bytes;
    this.largestUpdate = Math.max(this.largestUpdate, bytes);
  }

  /**
   * Keeps a copy of a member's state. Most members send equal states, which share one copy. One
   * without a body counts as not sent, as in C.
   */
  keepState(peer: Peer, body: Buffer): void {
    if (body.length === 0) return;
    const same = this.#peers.find(({ state }) => state?.equals(body) === true);
    peer.state = same?.state ?? Buffer.from(body);
    peer.stateBytes = body.byteLength;
  }

  /** A new synchronisation begins: forgets all states. */
  dropStates(): void {
    for (const peer of this.#peers) {
      peer.state = undefined;
      peer.stateBytes = undefined;
    }
  }

  /** All states, in the order of the members; undefined while one is missing. */
  takeStates(): { member: Member; state: Buffer }[] | undefined {
    const states = [];
    for (const { member, state } of this.#peers) {
      if (state === undefined) return undefined;
      states.push({ member, state });
    }
    for (const peer of this.#peers) peer.state = COMPARED;
    return states;
  }

  get isSynced(): boolean {
    return this.#peers.every(({ synced }) => synced);
  }

  allSynced(): void {
    for (const peer of this.#peers) peer.synced = true;
  }
}
