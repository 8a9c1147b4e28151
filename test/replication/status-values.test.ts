// The last value that a node accepted for each of its keys, and its log entries, reach every other
// node, whatever corosync does: it refuses messages for a while, is slow, changes its ring at any
// moment, or ends. It loses none that it accepted (network.ts), so none may be lost.
import { expect, test } from "bun:test";
import type { CpgGroup } from "../../src/corosync/cpg.ts";
import { CsError } from "../../src/corosync/cs-error.ts";
import { CPG_PIECE_BYTES } from "../../src/corosync/layouts.ts";
import type { Instant } from "../../src/pmxcfs/replication/events.ts";
import { Dfsm } from "../../src/pmxcfs/replication/machine.ts";
import { decodeNormal } from "../../src/pmxcfs/replication/message.ts";
import { GroupSender } from "../../src/pmxcfs/replication/services/group-sender.ts";
import { instantNow } from "../../src/pmxcfs/replication/services/group-service.ts";
import { MemoryRows } from "../../src/pmxcfs/store/memory-rows.ts";
import { IDLE } from "./idle-application.ts";
import { logOf, unequalKeys } from "./simulator/checks.ts";
import { Network, type Station } from "./simulator/network.ts";
import { Random } from "./simulator/random.ts";
import { SimProcess } from "./simulator/sim-process.ts";
import { eventually } from "../support/eventually.ts";

const SCHEDULES = 400;
const STEPS = 600;
const GROUP = "status";
const KEYS = ["k0", "k1", "k2", "k3", "k4"];

interface Node {
  readonly station: Station;
  readonly process: SimProcess;
  /** Messages that corosync is going to refuse. */
  refusals: number;
}

class Schedule {
  readonly nodes: readonly Node[];
  readonly #random: Random;
  readonly #network: Network;
  /** Without changes of the ring no synchronisation sends all values again. */
  readonly #changesRing: boolean;
  #isWhole = true;
  #sets = 0;
  #ms = 0;

  constructor(seed: number) {
    this.#random = new Random(seed);
    const size = 2 + this.#random.below(2);
    this.#changesRing = this.#random.chance(0.5);
    this.#network = new Network(size, this.#random);
    this.nodes = this.#network.stations.map((station) => {
      const process = new SimProcess({
        self: { nodeid: station.nodeid, pid: 100 + station.nodeid },
        nodes: size,
        rows: new MemoryRows(),
        now: this.#now,
        logBytes: 128 * 1024,
        take: (packet) => station.taken.push(packet),
        onSettled: () => {},
      });
      station.onIncoming = (group, event) => process.groups[group].inbox.push(event);
      return { station, process, refusals: 0 };
    });
    this.#reform([this.#ids]);
    this.#settle();
  }

  readonly #now = (): Instant => ({ seconds: 1_700_000_000, ms: this.#ms });

  get #ids(): number[] {
    return this.nodes.map(({ station }) => station.nodeid);
  }

  #reform(rings: number[][]): void {
    this.#isWhole = rings.some(({ length }) => length === this.nodes.length);
    this.#network.reform(rings, false);
    for (const { station, process } of this.nodes) {
      if (station.ring === undefined) process.disconnected();
      else if (process.joinable().includes(GROUP)) process.join(GROUP);
    }
  }

  /** The values and entries of all nodes at the end, and what is wrong with them. */
  run(): string[] {
    for (let step = 0; step < STEPS; step++) this.#step();
    if (!this.#isWhole) this.#reform([this.#ids]);
    for (const node of this.nodes) node.refusals = Math.min(node.refusals, 1);
    this.#settle();
    const running = this.nodes.map(({ process, station: { nodeid } }) => ({ process, nodeid }));
    const found = running.flatMap(({ process }) => unequalKeys(process, running));
    // As in C, a synchronisation transfers no removals.
    if (!this.#changesRing) found.push(...this.#notRemoved());
    const [first] = this.nodes;
    for (const { process, station } of this.nodes) {
      if (first === undefined || logOf(process) === logOf(first.process)) continue;
      found.push(`logs of 1 and ${station.nodeid} differ`);
    }
    return found;
  }

  /** Keys that their node has removed and another one still has. */
  #notRemoved(): string[] {
    return this.nodes.flatMap(({ process, station: { nodeid } }) => {
      const own = new Set([...process.status.ownKeys()].map(([name]) => name));
      return KEYS.filter((key) => !own.has(key)).flatMap((key) => {
        return this.nodes
          .filter((other) => other.process.status.get(`n${nodeid}`, key) !== undefined)
          .map((other) => `node ${other.station.nodeid} has ${key}, which node ${nodeid} removed`);
      });
    });
  }

  #step(): void {
    this.#ms += this.#random.below(20);
    const node = this.#random.pick(this.nodes);
    if (node === undefined) return;
    const roll = this.#random.next();
    if (roll < 0.3) this.#set(node);
    else if (roll < 0.5) this.#send(node, 1 + this.#random.below(8));
    else if (roll < 0.7) this.#order(node, 1 + this.#random.below(8));
    else if (roll < 0.9) this.#receive(node, 1 + this.#random.below(8));
    else if (roll < 0.93) node.process.tick(GROUP);
    else if (roll < 0.96) node.refusals = this.#random.below(this.#random.chance(0.3) ? 300 : 4);
    else if (roll < 0.97) for (let count = 0; count < 120; count++) this.#send(node, 1);
    else if (this.#changesRing && roll < 0.985) this.#reform(this.#rings());
  }

  #set({ process }: Node): void {
    for (let count = this.#random.below(4); count >= 0; count--) {
      const text = this.#random.chance(0.1) ? "" : `value ${++this.#sets}`;
      process.setKey(this.#random.pick(KEYS) ?? "k0", Buffer.from(text));
    }
    if (this.#random.chance(0.2)) process.write(`entry ${this.#sets}`);
  }

  /** Offers messages to corosync until one is refused. */
  #send(node: Node, most: number): void {
    for (let count = 0; count < most; count++) {
      const outcome = node.refusals > 0 ? "again" : "sent";
      if (!node.process.send(GROUP, outcome)) return;
      if (outcome === "again") return void node.refusals--;
    }
  }

  #order({ station }: Node, most: number): void {
    for (let count = 0; count < most; count++) this.#network.order(station);
  }

  #receive({ station, process }: Node, most: number): void {
    for (let count = 0; count < most; count++) {
      station.receive();
      process.step(GROUP);
      if (process.groups[GROUP].machine.busy) process.work(GROUP);
    }
  }

  #rings(): number[][] {
    if (this.#random.chance(0.4)) return [this.#ids];
    const parts: number[][] = [[], []];
    for (const id of this.#ids) parts[this.#random.below(2)]?.push(id);
    // corosync of the nodes of a part that is left out has ended.
    const rings = this.#random.chance(0.2) ? parts.slice(1) : parts;
    return rings.filter(({ length }) => length > 0);
  }

  /** Lets everything arrive. */
  #settle(): void {
    for (let round = 0; round < 500; round++) {
      for (const node of this.nodes) {
        this.#send(node, 50);
        this.#order(node, 50);
        this.#receive(node, 50);
      }
    }
  }
}

test("the last value of each key, and each log entry, reach all nodes after any refusals", () => {
  const found: string[] = [];
  for (let seed = 1; seed <= SCHEDULES; seed++) {
    const problems = new Schedule(seed).run();
    if (problems.length > 0) found.push(`seed ${seed}: ${problems.join(", ")}`);
  }
  expect(found).toEqual([]);
});

/** A connection that refuses messages at random, the whole one or a fragment in the middle. */
class RefusingCpg {
  /** The last text of each key that it accepted. */
  readonly taken = new Map<string, string>();
  readonly #random: Random;
  #refusals = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  together(sends: () => void): void {
    sends();
  }

  mcast(bytes: Uint8Array): CsError {
    if (this.#refusals === 0 && this.#random.chance(0.1)) {
      this.#refusals = this.#random.below(this.#random.chance(0.05) ? 70 : 4);
    }
    if (this.#refusals > 0) {
      this.#refusals--;
      return CsError.TRY_AGAIN;
    }
    const body = decodeNormal(Buffer.from(bytes))?.body.toString("latin1").trim() ?? "";
    const [key = "", text = ""] = body.split("=");
    this.taken.set(key, text);
    return CsError.OK;
  }

  async mcastFragments(bytes: Uint8Array): Promise<CsError> {
    for (let turns = this.#random.below(5); turns > 0; turns--) await Promise.resolve();
    const roll = this.#random.next();
    if (roll < 0.2) return CsError.INTERRUPT;
    return roll < 0.4 ? CsError.TRY_AGAIN : this.mcast(bytes);
  }
}

test("a value that waits is sent without another event, also behind a large message", async () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = new Random(seed);
    const self = { nodeid: 1, pid: 1 };
    const machine = new Dfsm({
      self,
      application: { ...IDLE, protocol: 0 },
      startedAt: instantNow(),
    });
    machine.confchg({ members: [self], joined: [self], left: [] }, instantNow());
    const cpg = new RefusingCpg(random);
    using sender = new GroupSender({
      machine,
      cpg: cpg as unknown as CpgGroup,
      now: instantNow,
      carryOut: () => {},
    });
    const wanted = new Map<string, string>();
    for (let set = 0; set < 200; set++) {
      const key = random.pick(KEYS) ?? "k0";
      wanted.set(key, `${set}`);
      const text = `${key}=${set}`;
      const bytes = random.chance(0.02) ? CPG_PIECE_BYTES + 1 : text.length;
      machine.send({ subtype: 1, body: Buffer.from(text.padEnd(bytes)), key });
      sender.pumpSoon();
      if (random.chance(0.3)) await Promise.resolve();
      if (random.chance(0.05)) await new Promise((resolve) => setImmediate(resolve));
    }
    await eventually(`the last values with seed ${seed}`, () => {
      return [...wanted].every(([key, text]) => cpg.taken.get(key) === text);
    });
    expect(machine.status(instantNow()).sending.outbox).toBe(0);
  }
});
