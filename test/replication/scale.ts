// How groups scale, by hand: `bun test/replication/scale.ts [--members 64] [--entries 20000]`.
// Real machines over real trees and logs in one process, on a network without faults: messages and
// bytes of a join, of a healed partition and of an hour of work, the CPU time of a member, and its
// longest turn; seconds from a model of the network. The table is in docs/internals/replication.md.
import { parseArgs } from "node:util";
import { MemoryRows } from "../../src/pmxcfs/store/memory-rows.ts";
import type { RowImage } from "../../src/pmxcfs/store/row-writer.ts";
import { GROUPS, Network, type Packet } from "./simulator/network.ts";
import { Random } from "./simulator/random.ts";
import { SimProcess } from "./simulator/sim-process.ts";

const { values } = parseArgs({
  options: {
    members: { type: "string", default: "64" },
    entries: { type: "string", default: "20000" },
    guests: { type: "string", default: "2000" },
  },
});
const MEMBERS = Number(values.members);
const ENTRIES = Number(values.entries);
const GUESTS = Number(values.guests);

/** The model: corosync over one link of 1 Gbit/s. */
const BYTES_PER_SECOND = 60e6;
/** The cost of a message in a ring of this size, with the rotation of the token. */
const MESSAGE_SECONDS = 25e-6;
/** The time in which corosync detects a change and forms the new ring. */
const RING_SECONDS = 3;

const LOG_BYTES = 131_072;
const FILE_BYTES = 1500;
/** The status keys of a node besides its address. */
const KEYS: readonly [name: string, bytes: number][] = [
  ["tasklist", 12_000],
  ["broadcast", 2000],
  ["ceph-version", 200],
  ["certificates", 1500],
];

const random = new Random(1);
const network = new Network(MEMBERS, random);
const content = Array.from({ length: 64 }, (_, index) => Buffer.alloc(FILE_BYTES, index));
const rows: RowImage[] = [];
const stamp = { writer: 1, mtime: 1_700_000_000 };
rows.push({ inode: 2, parent: 0, version: 2, ...stamp, type: 4, name: "d", data: null });
for (let inode = 3; inode < 2 + ENTRIES; inode++) {
  const data = content[inode % 64] ?? null;
  rows.push({ inode, parent: 2, version: inode, ...stamp, type: 8, name: `file-${inode}`, data });
}

function database(entries: number): MemoryRows {
  const memory = new MemoryRows();
  for (const each of rows.slice(0, entries)) memory.rows.set(each.inode, each);
  memory.root = { version: 2 + entries, ...stamp, type: 8 };
  return memory;
}

interface Tally {
  messages: number;
  bytes: number;
  /** Of the member that leads or lags, milliseconds of CPU. */
  cpu: number;
  longest: number;
}

let tally: Tally = { messages: 0, bytes: 0, cpu: 0, longest: 0 };
let ms = 0;
const now = () => ({ seconds: 1_700_000_000 + Math.floor(ms / 1000), ms });

function start(nodeid: number, memory: MemoryRows): SimProcess {
  const station = network.stations[nodeid - 1];
  const process = new SimProcess({
    self: { nodeid, pid: 1000 + nodeid },
    nodes: MEMBERS,
    rows: memory,
    now,
    logBytes: LOG_BYTES,
    take: (packet: Packet) => {
      if (packet.kind === "mcast") {
        tally.messages++;
        tally.bytes += packet.bytes.length + 184;
      }
      station?.taken.push(packet);
    },
    onSettled: () => {},
  });
  if (station !== undefined) {
    station.onIncoming = (group, event) => process.groups[group].inbox.push(event);
    station.onQuorum = (quorate) => (process.database.quorate = quorate);
  }
  process.database.quorate = true;
  for (const [name, bytes] of KEYS) process.setKey(name, Buffer.alloc(bytes, 120));
  for (let line = 0; line < 300; line++) process.write(`line ${line} of node ${nodeid}`);
  return process;
}

/** CPU milliseconds of a call. */
function cpuOf(call: () => void): number {
  const before = globalThis.process.cpuUsage();
  call();
  const { user, system } = globalThis.process.cpuUsage(before);
  return (user + system) / 1000;
}

/** Runs until no member has anything to do. `watched`: the member whose CPU time is measured. */
function settle(processes: readonly SimProcess[], watched: SimProcess): void {
  for (let busy = true; busy;) {
    busy = false;
    for (const station of network.stations) {
      while (station.ring !== undefined && station.taken.length > 0) network.order(station);
    }
    for (const [index, process] of processes.entries()) {
      const station = network.stations[index];
      if (station === undefined) continue;
      while (station.received < (station.ring?.ordered.length ?? 0)) station.receive();
      const turn = (call: () => void) => {
        busy = true;
        if (process !== watched) return call();
        const cpu = cpuOf(call);
        tally.cpu += cpu;
        tally.longest = Math.max(tally.longest, cpu);
      };
      for (const name of GROUPS) {
        const group = process.groups[name];
        while (group.inbox.length > 0) turn(() => process.step(name));
        while (group.machine.busy) turn(() => process.work(name));
        while (process.send(name, "sent")) busy = true;
      }
    }
    forget();
  }
}

/** Drops packets that every station has received. */
function forget(): void {
  const [first] = network.stations;
  if (first?.ring === undefined) return;
  const all = network.stations.every(
    ({ ring, received }) => ring === undefined || received === ring.ordered.length,
  );
  if (!all) return;
  for (const ring of new Set(network.stations.flatMap((station) => station.ring ?? []))) {
    ring.ordered.length = 0;
  }
  for (const station of network.stations) station.received = 0;
}

function print(what: string, seconds: number): void {
  const { messages, bytes, cpu, longest } = tally;
  const model = seconds + bytes / BYTES_PER_SECOND + messages * MESSAGE_SECONDS;
  const cells = [
    what,
    messages.toLocaleString("en"),
    `${(bytes / 1e6).toFixed(1)} MB`,
    `${model.toFixed(1)} s`,
    cpu === 0 ? "" : `${cpu.toFixed(0)} ms`,
    longest === 0 ? "" : `${longest.toFixed(0)} ms`,
  ];
  console.log(`| ${cells.join(" | ")} |`);
  tally = { messages: 0, bytes: 0, cpu: 0, longest: 0 };
}

const all = network.stations.map(({ nodeid }) => nodeid);
network.reform([all.slice(0, -1)], false);
const processes = all.slice(0, -1).map((nodeid) => start(nodeid, database(ENTRIES)));
for (const process of processes) for (const name of GROUPS) process.join(name);
const [leader] = processes as [SimProcess, ...SimProcess[]];
settle(processes, leader);
const unsynced = () => processes.filter(({ synced }) => !synced).length;
console.log(`${MEMBERS} members, ${ENTRIES} entries, ${unsynced()} not synced`);
console.log("| what | messages | bytes | modelled | CPU of the member | its longest turn |");
console.log("| --- | --- | --- | --- | --- | --- |");
tally = { messages: 0, bytes: 0, cpu: 0, longest: 0 };

network.reform([all], false);
settle(processes, leader);
tally = { messages: 0, bytes: 0, cpu: 0, longest: 0 };
const late = start(MEMBERS, database(1));
processes.push(late);
for (const name of GROUPS) late.join(name);
settle(processes, late);
print("a new node joins, with an empty database (the new node)", 0);

const half = Math.ceil(MEMBERS / 2) + 1;
network.reform([all.slice(0, half), all.slice(half)], false);
settle(processes, leader);
print("a partition: each side for itself (the leader)", RING_SECONDS);
for (let file = 0; file < 100; file++) {
  leader.propose({ kind: "create", path: `cut-${file}` });
}
settle(processes, leader);
tally = { messages: 0, bytes: 0, cpu: 0, longest: 0 };
network.reform([all], false);
settle(processes, late);
print("it heals, after 100 changes (a member that lagged)", RING_SECONDS);

leader.groups.dcdb.machine.verify();
settle(processes, leader);
print("a verification (the lowest)", 0);

const perTenSeconds = [
  ["RRD of nodes", MEMBERS, 330],
  ["RRD of guests", GUESTS, 300],
  ["RRD of storages", 5 * MEMBERS, 90],
  ["HA: lrm_status, three changes a node", 3 * MEMBERS, 300],
  ["HA: manager_status, three changes", 3, 20_000],
] as const;
for (const [what, count, bytes] of perTenSeconds) {
  tally.messages = count * 360;
  tally.bytes = count * 360 * (bytes + 280 + 184);
  print(`an hour of ${what}`, 0);
}
console.log(`${unsynced()} not synced at the end`);
