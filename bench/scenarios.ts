/** The rows of the benchmark, in the order of the report. */
import type { Goal, LoadScenario, MountScenario, Scenario } from "./scenario.ts";

const RATE = "perSecond";

function atLeast(metric: Goal["metric"], bound: number): Goal {
  return { metric, atLeast: bound };
}

function atMost(metric: Goal["metric"], bound: number): Goal {
  return { metric, atMost: bound };
}

function echo(group: string, name: string, flags: string, more: Partial<LoadScenario> = {}) {
  const row: LoadScenario = { kind: "load", group, name, flags: flags.split(" "), ...more };
  return row;
}

/** One client, back to back, with up to 200 bytes. */
const ONE_CLIENT: readonly Goal[] = [
  atLeast(RATE, 10),
  { metric: RATE, divisor: "floor", atLeast: 0.75 },
  atMost("p50", 0.05),
  atMost("p99", 1),
  atMost("cpuMsPer100k", 0.2),
];

const CORE: Scenario[] = [
  echo("core", "one client, empty", "--clients 1", {
    goals: ONE_CLIENT,
    smoke: { metric: RATE, divisor: "floor", atLeast: 0.1 },
  }),
  echo("core", "four clients, empty", "--clients 4", {
    goals: [atLeast(RATE, 3)],
    smoke: { metric: RATE, divisor: "floor", atLeast: 0.1 },
  }),
  {
    kind: "idle",
    group: "core",
    name: "idle, 10 connections",
    connections: 10,
    goals: [
      { metric: "idleCpuMs", below: 0.1 },
      { metric: "wakeups", below: 0.5 },
    ],
    smoke: { metric: "idleCpuMs", below: 20 },
  },
  echo("core", "connect and disconnect", "--connects", {
    requests: 300,
    goals: [atMost("p50", 0.55)],
    smoke: atMost("p50", 1.2),
  }),
];

const CLIENTS: Scenario[] = [
  echo("clients", "two clients", "--clients 2"),
  echo("clients", "sixteen clients", "--clients 16", {
    goals: [atLeast(RATE, 1.5), atMost("p99", 2)],
  }),
  echo("clients", "sixty-four clients", "--clients 64"),
];

const BODIES: Scenario[] = [
  echo("bodies", "200 B", "--body 200", { goals: ONE_CLIENT }),
  echo("bodies", "2 KiB", "--body 2048"),
  echo("bodies", "16 KiB", "--body 16384", { goals: [atLeast(RATE, 1.5)] }),
  echo("bodies", "200 KiB", "--body 204800", { goals: [atLeast(RATE, 1)] }),
];

const THINK: Scenario[] = [
  echo("think", "20 us, busy", "--think-us 20", { goals: [atMost("p50", 0.2)] }),
  echo("think", "80 us, busy", "--think-us 80", { goals: [atMost("p50", 0.2)] }),
  echo("think", "100 us, busy", "--think-us 100"),
  echo("think", "1 ms, busy", "--think-us 1000", {
    goals: [atMost("p50", 1.3), atMost("cpuMsPer100k", 2)],
  }),
  echo("think", "100 us, asleep", "--sleep-us 100"),
  echo("think", "1 ms, asleep", "--sleep-us 1000", {
    goals: [atMost("p50", 1.3), atMost("cpuMsPer100k", 2)],
  }),
];

const SMALL_RINGS = "--max-msg-size 16384";

/** Flags of qb-load for second loads; with these, the client is also measured alone. */
const FLOOD = "--clients 1 --depth 64";
const COPIES = "--clients 1 --depth 4 --body 204800";
const SLOW_REQUESTS = "--clients 1 --depth 64 --id 2";

/** Bound on what a second load may add to a client's p99, in ns. */
const FAIR: Goal = { metric: "p99Added", below: 1_000_000 };

function neighbour(name: string, flags: string, beside: string, more: Partial<LoadScenario> = {}) {
  const load = `${beside} --ms 600000`.split(" ");
  return echo("beside", name, flags, { beside: load, alone: true, goals: [FAIR], ...more });
}

const BESIDE: Scenario[] = [
  ...[100, 1000].map((idle) =>
    echo("beside", `one client, ${idle} idle connections`, "--clients 1", {
      beside: ["--idle", "--clients", String(idle), ...SMALL_RINGS.split(" ")],
      alone: true,
      goals: idle < 1000 ? [] : [{ metric: "slowedBy", below: 5 }],
    }),
  ),
  neighbour("one client, another flooding", "--clients 1", FLOOD),
  neighbour("1 ms sleeper, another flooding", "--sleep-us 1000", FLOOD),
  neighbour("1 ms sleeper, another copying 200 KiB", "--sleep-us 1000", COPIES),
  neighbour("1 ms sleeper, another's handler slow", "--sleep-us 1000", SLOW_REQUESTS, {
    echo: ["--burn-us", "100"],
    smoke: { metric: "p99Added", below: 20_000_000 },
  }),
  echo("beside", "pipeline of 64", "--depth 64"),
];

/** Handlers that answer after they have returned: at once, or 1 ms later. */
const LATE: Scenario[] = [
  echo("late", "answer when returned, one client", "--clients 1", {
    echo: ["--late"],
    smoke: atLeast(RATE, 0.7),
  }),
  echo("late", "answer when returned, sixteen clients", "--clients 16", { echo: ["--late"] }),
  echo("late", "answer in 1 ms, one client", "--clients 1", { echo: ["--late-ms", "1"] }),
  echo("late", "answer in 1 ms, sixteen clients", "--clients 16", { echo: ["--late-ms", "1"] }),
];

const CONNECTS: Scenario[] = [
  echo("connects", "5 ms apart", "--connects --sleep-us 5000", {
    requests: 150,
    goals: [atMost("p50", 0.5)],
  }),
  echo("connects", "storms of 32", "--connects --clients 32", { requests: 10 }),
];

const START: Scenario[] = [
  { kind: "start", group: "start", name: "echo server" },
  {
    kind: "start",
    group: "start",
    name: "10 files",
    files: 10,
    goals: [{ metric: "startMs", below: 60 }],
  },
  { kind: "start", group: "start", name: "10,000 files", files: 10_000 },
];

const MEMORY: Scenario[] = [
  {
    kind: "memory",
    group: "memory",
    name: "100 connections",
    connections: 100,
    smoke: atMost("connectionKiB", 20),
  },
  {
    kind: "files",
    group: "memory",
    name: "10 and 10,000 files",
    few: 10,
    many: 10_000,
    smoke: atMost("filesKiB", 6),
  },
  { kind: "idle", group: "memory", name: "idle, 500 connections", connections: 500 },
];

function onMount(operation: string, more: Partial<MountScenario> = {}): MountScenario {
  return { kind: "mount", group: "mount", name: `mount: ${operation}`, operation, ...more };
}

const AS_C: readonly Goal[] = [atLeast(RATE, 1)];
const TWICE_C: readonly Goal[] = [atLeast(RATE, 2)];
const WRITING = "create-write-rename";

/** Rows for root with /dev/fuse; they are compared with a C server if its file is given. */
const MOUNT: Scenario[] = [
  onMount("stat", { goals: TWICE_C }),
  onMount("open-read-close", { goals: TWICE_C }),
  onMount("readdir-1000", { goals: TWICE_C }),
  onMount(WRITING, { goals: AS_C }),
  onMount(WRITING, { name: "mount: the same without a history", options: ["--history", "off"] }),
  onMount(WRITING, { name: "mount: the same in batches", options: ["--commit", "batched"] }),
  onMount("mkdir-rmdir", { goals: AS_C }),
  onMount("write-1MiB", { goals: AS_C }),
  onMount("ipc", { name: "mount: IPC without writes" }),
  onMount("ipc", { name: "mount: IPC beside writes", beside: WRITING }),
];

/** qb-load flags for one request. */
function asking(id: number, body: Buffer): string[] {
  return ["--id", String(id), "--body-hex", body.toString("hex") || "-"];
}

/** All twelve requests as PVE's daemons send them, on a tree with this many guests. */
function requests(guests: number): LoadScenario[] {
  const ask = (name: string, id: number, body: Buffer, more: Partial<LoadScenario> = {}) => ({
    kind: "load" as const,
    group: `requests, ${guests} guests`,
    name: `${name} (${guests})`,
    flags: asking(id, body),
    guests,
    ...more,
  });
  const cheap = {
    goals: [atLeast(RATE, 10), { metric: RATE, divisor: "floor", atLeast: 0.75 } as const],
  };
  const many = guests >= 2000 ? { goals: [atLeast(RATE, 10)] } : {};
  const none = Buffer.alloc(0);
  const [status, log, rrd] = [asking(4, STATUS), asking(7, MESSAGE), asking(4, RRD)];
  return [
    ask("1 version", 1, none, cheap),
    ask("2 cluster info", 2, none),
    ask("3 guest list", 3, none, many),
    ask("4 set status", 4, STATUS),
    ask("5 get status", 5, Buffer.concat([fixed("bench"), fixed("")]), {
      ...cheap,
      prepare: status,
    }),
    ask("6 get config", 6, Buffer.from("storage.cfg\0"), cheap),
    ask("7 log message", 7, MESSAGE),
    ask("8 cluster log", 8, Buffer.alloc(17), { prepare: log }),
    ask("10 rrd dump", 10, none, { prepare: rrd }),
    ask("11 property, all guests", 11, vmid(0, Buffer.from("name\0")), many),
    ask("11 property, one guest", 11, vmid(100, Buffer.from("name\0"))),
    ask("12 verify token", 12, Buffer.from("root@pam!bench 0123\0"), cheap),
    ask("13 properties, all guests", 13, vmid(0, Buffer.from("\x02name\0tags\0")), many),
  ];
}

/** The same on the mount of a node. */
function asOnNode({
  name,
  flags,
  prepare = [],
  guests = 0,
  goals = [],
}: LoadScenario): MountScenario {
  const group = `requests on a mount, ${guests} guests`;
  const first = prepare.length === 0 ? {} : { prepare };
  return onMount("ipc", { name: `mount: ${name}`, group, flags, guests, goals, ...first });
}

const STATUS = Buffer.concat([fixed("bench"), Buffer.from("value\0")]);
const RRD = Buffer.concat([fixed("rrd/pve-vm-9.0/100"), Buffer.from("500:web:running:0:1\0")]);
const MESSAGE = Buffer.from("\x06\x05\x06root\0bench\0a message of some length\0", "latin1");

/** A name as char[256]. */
function fixed(name: string): Buffer {
  const bytes = Buffer.alloc(256);
  bytes.write(name, "latin1");
  return bytes;
}

function vmid(id: number, rest: Buffer): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(id);
  return Buffer.concat([bytes, rest]);
}

export const SCENARIOS: readonly Scenario[] = [
  ...CORE,
  ...CLIENTS,
  ...BODIES,
  ...THINK,
  ...BESIDE,
  ...LATE,
  ...CONNECTS,
  ...START,
  ...MEMORY,
  ...MOUNT,
  ...requests(200),
  ...requests(2000),
  ...requests(200).map(asOnNode),
];
