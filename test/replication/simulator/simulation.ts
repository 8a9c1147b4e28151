// A cluster in one process, driven by a seed, one action at a time: of clients, of corosync, of the
// members, and faults. The invariants are in checks.ts.
import { Errno } from "../../../src/base/errno.ts";
import type { Instant } from "../../../src/pmxcfs/replication/events.ts";
import type { TreeCommand } from "../../../src/pmxcfs/state/tree-command.ts";
import { MemoryRows } from "../../../src/pmxcfs/store/memory-rows.ts";
import { GROUPS, Network, type Station } from "./network.ts";
import { Random } from "./random.ts";
import { SimProcess } from "./sim-process.ts";

/** A file with a name of its own, whose creation was answered 0. */
export interface Acknowledged {
  readonly path: string;
  readonly node: number;
  /** Every member of a majority has it, and no other can be ahead: it must never be lost. */
  stable: boolean;
}

/** A node: its database stays, its server and its corosync come and go. */
export interface SimNode {
  readonly nodeid: number;
  readonly station: Station;
  rows: MemoryRows;
  process: SimProcess | undefined;
  /** Steps until it handles events again: a slow or mute server. */
  paused: number;
  /** Steps until its corosync orders packets again: a node that waits for the token. */
  stalled: number;
}

const LOG_BYTES = 8 * 1024;
const PATHS = ["a", "b", "d", "d/x", "d/y", "nodes/n1/lxc/100.conf", "priv/lock/l"];
const DIRECTORIES = ["d", "nodes", "nodes/n1", "nodes/n1/lxc", "priv", "priv/lock"];

/** The rows that a crash leaves: without the changes that were only gathered. */
function afterCrash({ rows, root, failure }: MemoryRows): MemoryRows {
  const left = new MemoryRows();
  for (const [inode, row] of rows) left.rows.set(inode, row);
  return Object.assign(left, { root, failure });
}

export interface SimulationOptions {
  readonly seed: number;
}

export class Simulation {
  readonly random: Random;
  readonly nodes: readonly SimNode[];
  readonly network: Network;
  readonly acknowledged: Acknowledged[] = [];
  /** Creations that wait for their answer, by node/pid/ticket. */
  readonly #waiting = new Map<string, { path: string; node: number } | undefined>();
  /** No more faults: nothing is lost, refused, killed or cut off. */
  calm = false;
  steps = 0;
  events = 0;
  /** Rounds without load are mixed in, in which syncs end and changes are answered. */
  readonly #brisk: boolean;
  #ms = 0;
  #nextPid = 100;
  #nextPath = 0;

  constructor({ seed }: SimulationOptions) {
    this.random = new Random(seed);
    const size = 2 + this.random.below(4);
    this.#brisk = this.random.chance(0.8);
    this.network = new Network(size, this.random);
    this.nodes = this.network.stations.map((station) => {
      const node: SimNode = {
        nodeid: station.nodeid,
        station,
        rows: new MemoryRows(),
        process: undefined,
        paused: 0,
        stalled: 0,
      };
      this.#seedRows(node.rows);
      station.onIncoming = (group, event, to) => {
        if (node.process?.self.pid === to.pid) node.process.groups[group].inbox.push(event);
      };
      station.onQuorum = (quorate) => this.#quorum(node, quorate);
      return node;
    });
    this.network.reform([this.nodes.map(({ nodeid }) => nodeid)], false);
    for (const node of this.nodes) this.start(node);
  }

  now = (): Instant => ({ seconds: 1_700_000_000 + Math.floor(this.#ms / 1000), ms: this.#ms });

  /** Every node begins with the same few directories. */
  #seedRows(rows: MemoryRows): void {
    let version = 1;
    const inodes = new Map([["", 0]]);
    for (const path of DIRECTORIES) {
      version++;
      const at = path.lastIndexOf("/");
      const parent = inodes.get(path.slice(0, Math.max(at, 0))) ?? 0;
      const name = path.slice(at + 1);
      inodes.set(path, version);
      const row = { inode: version, parent, version, writer: 0, mtime: 1, type: 4, name };
      rows.rows.set(version, { ...row, data: null });
    }
    rows.root = { version, writer: 0, mtime: 1, type: 8 };
  }

  /** corosync reports quorum at once, or in order with its other events. */
  #quorum(node: SimNode, quorate: boolean): void {
    const { process } = node;
    if (process === undefined) return;
    const { inbox } = process.groups.dcdb;
    const waits = inbox.some(({ kind }) => kind === "quorum");
    if (!waits && this.random.chance(0.5)) process.database.quorate = quorate;
    else inbox.push({ kind: "quorum", quorate });
  }

  start(node: SimNode): void {
    const self = { nodeid: node.nodeid, pid: this.#nextPid++ };
    node.paused = 0;
    node.process = new SimProcess({
      self,
      nodes: this.nodes.length,
      rows: node.rows,
      now: this.now,
      logBytes: LOG_BYTES,
      take: (packet) => node.station.taken.push(packet),
      onSettled: (ticket, result) => this.#settled(node, self.pid, ticket, result),
    });
    if (node.station.ring === undefined) return;
    node.process.database.quorate = this.network.isQuorate(node.station);
    for (const group of GROUPS) node.process.join(group);
  }

  kill(node: SimNode): void {
    const { process, station } = node;
    if (process === undefined) return;
    node.process = undefined;
    node.rows = afterCrash(node.rows);
    for (const group of GROUPS) {
      if (process.groups[group].connection === "none" || station.ring === undefined) continue;
      station.taken.push({ kind: "leave", group, from: process.self });
    }
    for (const key of this.#waiting.keys()) {
      if (key.startsWith(`${node.nodeid}/${process.self.pid}/`)) this.#waiting.delete(key);
    }
  }

  /** New rings; servers without corosync lose their connections. */
  reform(rings: readonly (readonly number[])[]): void {
    const had = new Set(this.nodes.filter(({ station }) => station.ring !== undefined));
    this.network.reform(rings, !this.calm);
    for (const node of this.nodes) {
      const has = node.station.ring !== undefined;
      if (!has) node.process?.disconnected();
      else if (!had.has(node) && node.process !== undefined) {
        node.process.database.quorate = this.network.isQuorate(node.station);
      }
    }
  }

  #settled(node: SimNode, pid: number, ticket: number, result: number): void {
    const key = `${node.nodeid}/${pid}/${ticket}`;
    if (!this.#waiting.has(key)) throw new Error(`ticket ${key} is settled twice`);
    const created = this.#waiting.get(key);
    this.#waiting.delete(key);
    if (created === undefined || result !== 0) return;
    this.acknowledged.push({ ...created, stable: false });
  }

  /** Calls that wait; they must all end. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** One action. */
  step(): void {
    this.steps++;
    this.#ms += this.random.below(4);
    for (const node of this.nodes) {
      if (node.paused > 0) node.paused--;
      if (node.stalled > 0) node.stalled--;
    }
    const roll = this.random.next();
    if ((this.#brisk || this.calm) && roll < 0.25) this.#round();
    else if (roll < 0.42) this.#look();
    else if (roll < 0.57) this.#send();
    else if (roll < 0.69) this.#order();
    else if (roll < 0.83) this.#receive();
    else if (roll < 0.965 && !this.calm) {
      for (let count = this.random.below(4); count >= 0; count--) this.#client();
    } else if (roll < 0.988) this.#time();
    else if (this.calm) this.#join();
    else this.#fault();
  }

  #running(): SimNode[] {
    return this.nodes.filter(({ process, paused }) => process !== undefined && paused === 0);
  }

  /** Every node does all its work: a cluster without load. */
  #round(): void {
    for (const { station, stalled } of this.nodes) {
      if (station.ring === undefined || stalled > 0) continue;
      while (station.taken.length > 0) this.network.order(station);
    }
    for (const { station, process, paused } of this.nodes) {
      while (station.received < (station.ring?.ordered.length ?? 0)) station.receive();
      if (process === undefined || paused > 0) continue;
      for (const name of GROUPS) {
        const { inbox, machine } = process.groups[name];
        while (inbox.length > 0 || machine.busy) {
          this.events += Math.min(inbox.length, 1);
          process.step(name);
          if (machine.busy) process.work(name);
          while (process.send(name, "sent"));
        }
        while (process.send(name, "sent"));
      }
    }
  }

  /** A member handles its next event, or does a step of its work. */
  #look(): void {
    const ready = this.#running().flatMap((node) =>
      GROUPS.filter((name) => node.process?.groups[name].inbox.length ?? 0).map((name) => ({
        node,
        process: node.process,
        name,
      })),
    );
    const next = this.random.pick(ready);
    const many = this.random.chance(0.3) ? 5 : 1;
    const gathers = this.random.chance(0.5);
    if (gathers) next?.process?.gather(next.name);
    for (let count = 0; count < many; count++) next?.process?.step(next.name);
    this.events += next === undefined ? 0 : many;
    const isKilled = gathers && !this.calm && this.random.chance(0.002);
    if (isKilled && next !== undefined) this.kill(next.node);
    else if (gathers) next?.process?.store(next.name);
    const worker = this.random.pick(this.#running())?.process;
    for (const name of GROUPS) if (worker?.groups[name].machine.busy) worker.work(name);
  }

  #send(): void {
    const { process } = this.random.pick(this.#running()) ?? {};
    const name = this.random.pick(GROUPS) ?? "dcdb";
    const most = 1 + this.random.below(6);
    for (let count = 0; count < most; count++) {
      const again = !this.calm && this.random.chance(0.1);
      const lost = !this.calm && this.random.chance(0.003);
      if (process?.send(name, again ? "again" : lost ? "lost" : "sent") !== true) return;
    }
  }

  #order(): void {
    const ready = this.nodes.filter(({ station: { taken, ring }, stalled }) => {
      return ring !== undefined && taken.length > 0 && stalled === 0;
    });
    const station = this.random.pick(ready)?.station;
    const most = 1 + this.random.below(4);
    if (station === undefined) return;
    for (let count = 0; count < most; count++) this.network.order(station);
  }

  #receive(): void {
    const ready = this.network.stations.filter(
      ({ ring, received }) => received < (ring?.ordered.length ?? 0),
    );
    const station = this.random.pick(ready);
    const most = 1 + this.random.below(6);
    if (station === undefined) return;
    for (let count = 0; count < most; count++) station.receive();
  }

  /** Advances the clock of all nodes by up to 2 s, rarely or after the faults by up to 31 s. */
  #time(): void {
    this.#ms += this.random.below(this.calm || this.random.chance(0.05) ? 31_000 : 2000);
    for (const { process } of this.#running()) for (const name of GROUPS) process?.tick(name);
    this.#join();
  }

  #join(): void {
    for (const { process, station } of this.#running()) {
      if (station.ring === undefined || process === undefined) continue;
      for (const name of process.joinable()) if (this.random.chance(0.7)) process.join(name);
    }
  }

  #client(): void {
    const node = this.random.pick(this.#running());
    const process = node?.process;
    if (node === undefined || process === undefined) return;
    const roll = this.random.next();
    if (roll < 0.35) this.#create(node, process);
    else if (roll < 0.7) this.#propose(node, process, this.#command());
    else if (roll < 0.8) process.setKey(`k${this.random.below(3)}`, this.#value());
    else if (roll < 0.95) process.write(`line ${this.steps}`);
    else process.requestUnlock("priv/lock/l");
  }

  #create(node: SimNode, process: SimProcess): void {
    const path = `own-${this.#nextPath++}`;
    this.#propose(node, process, { kind: "create", path }, path);
  }

  #propose(node: SimNode, process: SimProcess, command: TreeCommand, path?: string): void {
    const proposed = process.propose(command);
    if (typeof proposed === "number") {
      const known = [Errno.EACCES, Errno.EBUSY, Errno.EIO] as number[];
      if (!known.includes(proposed)) throw new Error(`refused with ${proposed}`);
      return;
    }
    const key = `${node.nodeid}/${process.self.pid}/${proposed.ticket}`;
    this.#waiting.set(key, path === undefined ? undefined : { path, node: node.nodeid });
    if (!this.random.chance(0.03)) return;
    process.groups.dcdb.machine.withdraw(proposed.ticket);
    this.#waiting.delete(key);
  }

  #value(): Uint8Array {
    return Buffer.alloc(this.random.below(5), 65 + this.random.below(26));
  }

  #command(): TreeCommand {
    const path = this.random.pick(PATHS) ?? "a";
    const roll = this.random.next();
    if (roll < 0.2) return { kind: "create", path };
    if (roll < 0.35)
      return { kind: "write", path, offset: this.random.below(9), data: this.#value() };
    if (roll < 0.45) return { kind: "truncate", path, size: this.random.below(6) };
    if (roll < 0.6) return { kind: "remove", path };
    if (roll < 0.75) return { kind: "rename", path, to: this.random.pick(PATHS) ?? "b" };
    if (roll < 0.85) return { kind: "utime", path, mtime: this.now().seconds };
    return { kind: "mkdir", path };
  }

  #fault(): void {
    const node = this.random.pick(this.nodes);
    if (node === undefined) return;
    const roll = this.random.next();
    if (roll < 0.3) this.reform(this.#partition());
    else if (roll < 0.5) this.reform([this.nodes.map(({ nodeid }) => nodeid)]);
    else if (roll < 0.65) this.kill(node);
    else if (roll < 0.8)
      for (const dead of this.nodes) if (dead.process === undefined) this.start(dead);
    if (roll < 0.8) return;
    if (roll < 0.85) node.stalled = this.random.below(60);
    else if (roll < 0.9) node.paused = this.random.below(this.random.chance(0.2) ? 400 : 60);
    else if (roll < 0.95) node.rows.failure = node.rows.failure === 0 ? Errno.EIO : 0;
    else this.reform(this.#without(node.nodeid));
  }

  #partition(): number[][] {
    const parts: number[][] = [[], [], []];
    for (const { nodeid } of this.nodes) parts[this.random.below(3)]?.push(nodeid);
    return parts.filter(({ length }) => length > 0);
  }

  /** corosync of one node ends; the others stay as they are. */
  #without(nodeid: number): number[][] {
    const rings = new Set(this.nodes.flatMap(({ station }) => station.ring ?? []));
    return [...rings]
      .map(({ nodes }) => [...nodes].filter((other) => other !== nodeid))
      .filter(({ length }) => length > 0);
  }

  /** True when no node has anything to do. */
  get quiet(): boolean {
    return this.nodes.every((node) => {
      const { station, process, paused } = node;
      if (station.taken.length > 0 && station.ring !== undefined) return false;
      if (station.received < (station.ring?.ordered.length ?? 0)) return false;
      if (process === undefined || station.ring === undefined) return true;
      return (
        paused === 0 &&
        node.stalled === 0 &&
        !process.busy &&
        GROUPS.every((name) => process.groups[name].connection === "in")
      );
    });
  }
}
