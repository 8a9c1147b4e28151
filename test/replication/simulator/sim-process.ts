// One server of the simulation: the machines of both groups over a real tree, keys and log, and the
// runtime around them (sends, leaving, joining again). When it is killed its memory is lost; its
// rows belong to the node and stay.
import { DatabaseGroup } from "../../../src/pmxcfs/replication/dcdb.ts";
import type {
  Effect,
  Instant,
  LeaveReason,
  Member,
} from "../../../src/pmxcfs/replication/events.ts";
import { withoutPhantoms } from "../../../src/pmxcfs/replication/local.ts";
import { Dfsm } from "../../../src/pmxcfs/replication/machine.ts";
import { StatusGroup } from "../../../src/pmxcfs/replication/status-group.ts";
import { ClusterLog } from "../../../src/pmxcfs/state/cluster-log.ts";
import { Members } from "../../../src/pmxcfs/state/members.ts";
import { Rrd } from "../../../src/pmxcfs/state/rrd-values.ts";
import { Status } from "../../../src/pmxcfs/state/status.ts";
import type { TreeCommand } from "../../../src/pmxcfs/state/tree-command.ts";
import { Versions } from "../../../src/pmxcfs/state/versions.ts";
import type { MemoryRows } from "../../../src/pmxcfs/store/memory-rows.ts";
import type { TreeStore } from "../../../src/pmxcfs/store/tree-store.ts";
import { treeOf } from "../traces/database.ts";
import { GROUPS, type GroupName, type Incoming, type Packet } from "./network.ts";

/** State of a process in a group of corosync. */
type Connection = "none" | "joining" | "in" | "leaving";

interface Group {
  readonly machine: Dfsm;
  readonly inbox: Incoming[];
  connection: Connection;
  /** Reason of the last leave. */
  reason: LeaveReason | undefined;
}

export interface ProcessOptions {
  readonly self: Member;
  readonly nodes: number;
  readonly rows: MemoryRows;
  readonly now: () => Instant;
  readonly logBytes: number;
  /** Passes a packet to corosync. */
  readonly take: (packet: Packet) => void;
  readonly onSettled: (ticket: number, result: number) => void;
}

export class SimProcess {
  readonly self: Member;
  readonly tree: TreeStore;
  readonly database: DatabaseGroup;
  readonly status: Status;
  readonly log: ClusterLog;
  readonly groups: Readonly<Record<GroupName, Group>>;
  readonly #statusGroup: StatusGroup;
  readonly #options: ProcessOptions;
  /** Lines of the machines, the latest ones. */
  readonly lines: string[] = [];

  constructor(options: ProcessOptions) {
    const { self, rows, now } = options;
    const name = `n${self.nodeid}`;
    this.self = self;
    this.#options = options;
    this.tree = treeOf(rows, () => now().seconds);
    this.database = new DatabaseGroup({ tree: this.tree, nodeid: self.nodeid });
    const members = new Members({
      nodeName: name,
      versions: new Versions({ memdb: this.tree.memdb }),
    });
    const nodes = Array.from({ length: options.nodes }, (_, index) => {
      return { id: index + 1, name: `n${index + 1}`, votes: 1 };
    });
    members.update({ clusterName: "sim", configVersion: 1, nodes });
    this.status = new Status({ members, rrd: new Rrd() });
    const { logBytes: sizeBytes } = options;
    const clock = () => now().seconds * 1000;
    this.log = new ClusterLog({ nodeName: name, pid: self.pid, now: clock, sizeBytes });
    const onMembers = (ids: ReadonlySet<number>) => members.setOnline(ids);
    const address = () => `192.0.2.${self.nodeid}`;
    const parts = { self, status: this.status, log: this.log, onMembers, address };
    this.#statusGroup = new StatusGroup(parts);
    this.groups = { dcdb: this.#group(this.database), status: this.#group(this.#statusGroup) };
  }

  #group(application: DatabaseGroup | StatusGroup): Group {
    const { self, now } = this.#options;
    const machine = new Dfsm({ self, application, startedAt: now() });
    return { machine, inbox: [], connection: "none", reason: undefined };
  }

  /** True while there are events to handle, messages to send, or work to do. */
  get busy(): boolean {
    return GROUPS.some((name) => {
      const { inbox, machine, connection } = this.groups[name];
      return (
        inbox.length > 0 ||
        machine.busy ||
        connection === "leaving" ||
        connection === "joining" ||
        (connection === "in" && machine.next(this.#options.now()) !== undefined)
      );
    });
  }

  get synced(): boolean {
    return GROUPS.every((name) => this.groups[name].machine.mode === "synced");
  }

  /** Groups that it is not in and may join now. */
  joinable(): GroupName[] {
    return GROUPS.filter((name) => {
      const { connection, reason } = this.groups[name];
      const writable = !this.database.isBroken || this.#options.rows.failure === 0;
      return connection === "none" && reason !== "version" && writable;
    });
  }

  join(name: GroupName): void {
    const group = this.groups[name];
    if (this.database.isBroken && this.tree.probe()) this.database.repaired();
    this.#carryOut(name, group.machine.restart(this.#options.now()));
    group.connection = "joining";
    this.#options.take({ kind: "join", group: name, from: this.self });
  }

  /** corosync is gone: its connections end. */
  disconnected(): void {
    this.database.quorate = false;
    for (const name of GROUPS) {
      const group = this.groups[name];
      group.inbox.length = 0;
      group.connection = "none";
      this.#carryOut(name, group.machine.restart(this.#options.now()));
    }
  }

  /** Handles the next event of a group. */
  step(name: GroupName): void {
    const group = this.groups[name];
    const event = group.inbox.shift();
    if (event === undefined) return;
    const now = this.#options.now();
    if (event.kind === "quorum") {
      this.database.quorate = event.quorate;
    } else if (event.kind === "deliver") {
      this.#carryOut(name, group.machine.deliver(event.from, event.bytes, now));
    } else {
      const { members } = event.change;
      const inside = members.some(({ pid, nodeid }) => {
        return pid === this.self.pid && nodeid === this.self.nodeid;
      });
      if (inside && group.connection === "joining") group.connection = "in";
      this.#carryOut(name, group.machine.confchg(event.change, now));
      if (!inside && group.connection === "leaving") group.connection = "none";
    }
  }

  /** The changes of the next events are stored together, by `store`. */
  gather(name: GroupName): void {
    this.groups[name].machine.gather();
  }

  store(name: GroupName): void {
    this.#carryOut(name, this.groups[name].machine.store());
  }

  work(name: GroupName): void {
    this.#carryOut(name, this.groups[name].machine.work());
  }

  tick(name: GroupName): void {
    this.#carryOut(name, this.groups[name].machine.tick(this.#options.now()));
  }

  /** Tries to send the message that a machine offers; false when there is none. */
  send(name: GroupName, outcome: "sent" | "again" | "lost"): boolean {
    const { machine, connection } = this.groups[name];
    const out = connection === "in" ? machine.next(this.#options.now()) : undefined;
    if (out === undefined) return false;
    if (outcome === "sent") {
      const bytes = Buffer.from(out.bytes);
      this.#options.take({ kind: "mcast", group: name, from: this.self, bytes });
    }
    this.#carryOut(name, machine.sent(outcome === "again" ? "again" : "sent"));
    return true;
  }

  /** A local change; its ticket, or why it was refused at once. */
  propose(command: TreeCommand): number | { ticket: number } {
    const { writable } = this.database;
    if (writable !== 0) return writable;
    const sendable = withoutPhantoms(this.tree.memdb, command);
    return this.groups.dcdb.machine.propose(this.database.encode(sendable), this.#options.now());
  }

  /** Requests the release of a lock, as utime(0, 0) does. */
  requestUnlock(path: string): void {
    const request = this.database.writable === 0 ? this.database.unlockRequest(path) : undefined;
    if (request !== undefined) this.groups.dcdb.machine.send(request);
  }

  setKey(name: string, data: Uint8Array): void {
    this.status.set(name, data);
    this.groups.status.machine.send(this.#statusGroup.encodeKey(name, data));
  }

  write(message: string): void {
    this.log.add({ priority: 6, user: "root@pam", tag: "sim", message, pid: 1 });
    this.groups.status.machine.send(this.#statusGroup.encodeLog(this.log.newestEntry()));
  }

  #carryOut(name: GroupName, effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.kind === "settled") this.#options.onSettled(effect.ticket, effect.result);
      else if (effect.kind === "log") this.#note(`${name}: ${effect.text}`);
      else if (effect.kind === "leave") {
        const group = this.groups[name];
        group.reason = effect.reason;
        group.connection = "leaving";
        this.#options.take({ kind: "leave", group: name, from: this.self });
      }
    }
  }

  #note(line: string): void {
    this.lines.push(line);
    if (this.lines.length > 60) this.lines.shift();
  }
}
