// corosync as its clients see it: rings of nodes, one total order of messages in each, received by
// each node at its own pace, and confchgs of process groups. Its guarantees:
//
//   - messages of different senders come in any order, those of one sender in the order of sends;
//   - at a change of ring, nodes that stay together have received the same messages, but possibly
//     not all of a node that went away; own messages are always received;
//   - a message that was accepted and not ordered yet is sent in the next ring, after the confchg;
//   - a change of ring gives a confchg with the members that left, then one with those that joined;
//   - a message that is accepted during a change may be lost, without a report to the sender.
import type { Confchg, Member } from "../../../src/pmxcfs/replication/events.ts";
import { sameMember } from "../../../src/pmxcfs/replication/events.ts";
import type { Random } from "./random.ts";

export type GroupName = "dcdb" | "status";
export const GROUPS: readonly GroupName[] = ["dcdb", "status"];

export type Packet =
  | {
      readonly kind: "mcast";
      readonly group: GroupName;
      readonly from: Member;
      readonly bytes: Buffer;
    }
  | { readonly kind: "join" | "leave"; readonly group: GroupName; readonly from: Member };

/** An event for a process. Each of its groups gets them in order. */
export type Incoming =
  | { readonly kind: "deliver"; readonly from: Member; readonly bytes: Buffer }
  | { readonly kind: "confchg"; readonly change: Confchg }
  | { readonly kind: "quorum"; readonly quorate: boolean };

interface Ring {
  readonly nodes: Set<number>;
  readonly ordered: Packet[];
}

/** corosync of one node. */
export class Station {
  readonly nodeid: number;
  /** Accepted from processes, not ordered yet. */
  readonly taken: Packet[] = [];
  /** Members of each group, as this node has received them. */
  readonly view: Record<GroupName, Member[]> = { dcdb: [], status: [] };
  ring: Ring | undefined;
  /** Packets of the ring's order that were received. */
  received = 0;
  /** Called with the events for its processes. */
  onIncoming: (group: GroupName, event: Incoming, to: Member) => void = () => {};
  onQuorum: (quorate: boolean) => void = () => {};

  constructor(nodeid: number) {
    this.nodeid = nodeid;
  }

  /** Receives the next packet of the ring's order. */
  receive(): void {
    const packet = this.ring?.ordered[this.received];
    if (packet === undefined) return;
    this.received++;
    this.take(packet);
  }

  /** A packet arrives. */
  take(packet: Packet): void {
    const { group, from } = packet;
    const before = this.view[group];
    const known = before.some((member) => sameMember(member, from));
    if (packet.kind === "mcast") {
      if (known) this.#report(group, { kind: "deliver", from, bytes: packet.bytes }, before);
    } else if (packet.kind === "join" && !known) {
      this.view[group] = [...before, from];
      const change = { members: this.view[group], left: [], joined: [from] };
      this.#report(group, { kind: "confchg", change }, this.view[group]);
    } else if (packet.kind === "leave" && known) {
      this.view[group] = before.filter((member) => !sameMember(member, from));
      const change = { members: this.view[group], left: [from], joined: [] };
      // The process that left gets the confchg, too.
      this.#report(group, { kind: "confchg", change }, before);
    }
  }

  #report(group: GroupName, event: Incoming, members: readonly Member[]): void {
    for (const member of members) {
      if (member.nodeid === this.nodeid) this.onIncoming(group, event, member);
    }
  }

  /** The group's members in the new ring. */
  regroup(group: GroupName, members: readonly Member[], nodes: ReadonlySet<number>): void {
    const before = this.view[group];
    const stay = before.filter(({ nodeid }) => nodes.has(nodeid));
    const left = before.filter(({ nodeid }) => !nodes.has(nodeid));
    this.view[group] = stay;
    if (left.length > 0) {
      const change = { members: stay, left, joined: [] };
      this.#report(group, { kind: "confchg", change }, stay);
    }
    const joined = members.filter((member) => !stay.some((other) => sameMember(other, member)));
    this.view[group] = [...stay, ...joined];
    if (joined.length === 0) return;
    const change = { members: this.view[group], left: [], joined };
    this.#report(group, { kind: "confchg", change }, this.view[group]);
  }
}

export class Network {
  readonly stations: readonly Station[];
  readonly #random: Random;

  constructor(size: number, random: Random) {
    this.stations = Array.from({ length: size }, (_, index) => new Station(index + 1));
    this.#random = random;
  }

  /** Orders the oldest packet that `station` accepted. */
  order(station: Station): void {
    const packet = station.ring === undefined ? undefined : station.taken.shift();
    if (packet !== undefined) station.ring?.ordered.push(packet);
  }

  isQuorate(station: Station): boolean {
    return (station.ring?.nodes.size ?? 0) * 2 > this.stations.length;
  }

  /** New rings; a node that is in none has no corosync. `lossy`: accepted messages may be lost. */
  reform(rings: readonly (readonly number[])[], lossy: boolean): void {
    const old = new Set(this.stations.flatMap(({ ring }) => ring ?? []));
    const next: Ring[] = rings.map((nodes) => ({ nodes: new Set(nodes), ordered: [] }));
    for (const ring of old) {
      for (const { nodes } of next) this.#finish(ring, this.#both(ring.nodes, nodes));
    }
    const views = next.map((ring) => this.#membersOf(ring));
    for (const station of this.stations) {
      const index = next.findIndex(({ nodes }) => nodes.has(station.nodeid));
      const ring = next[index];
      station.ring = ring;
      station.received = 0;
      if (ring === undefined) {
        station.taken.length = 0;
        station.view.dcdb = [];
        station.view.status = [];
        continue;
      }
      if (lossy) this.#lose(station);
      station.onQuorum(this.isQuorate(station));
      for (const group of GROUPS) station.regroup(group, views[index]?.[group] ?? [], ring.nodes);
    }
  }

  /** Loses at most one message that the station has accepted. */
  #lose(station: Station): void {
    const at = this.#random.below(station.taken.length + 1);
    if (station.taken[at]?.kind === "mcast") station.taken.splice(at, 1);
  }

  #both(one: ReadonlySet<number>, other: ReadonlySet<number>): Station[] {
    return this.stations.filter(({ nodeid }) => one.has(nodeid) && other.has(nodeid));
  }

  /** Nodes that stay together receive the same rest of their old ring. */
  #finish(ring: Ring, together: readonly Station[]): void {
    const most = Math.max(0, ...together.map(({ received }) => received));
    const cut = most + this.#random.below(ring.ordered.length - most + 1);
    const stay = new Set(together.map(({ nodeid }) => nodeid));
    const rest = ring.ordered.slice(cut).filter(({ from }) => stay.has(from.nodeid));
    for (const station of together) {
      while (station.received < cut) station.receive();
      for (const packet of rest) station.take(packet);
    }
  }

  /** Processes on the ring's nodes, as their own stations have them. */
  #membersOf({ nodes }: Ring): Record<GroupName, Member[]> {
    const members: Record<GroupName, Member[]> = { dcdb: [], status: [] };
    for (const { nodeid, view } of this.stations) {
      if (!nodes.has(nodeid)) continue;
      for (const group of GROUPS) {
        members[group].push(...view[group].filter((member) => member.nodeid === nodeid));
      }
    }
    return members;
  }
}
