/**
 * `bun bench/cluster.ts`, as root: three nodes with a corosync and a server each. Measures
 *
 * - writes of 1000 bytes below /etc/pve of node 1 by 1, 4 and 16 writers: writes per second, p50,
 *   p99, CPU of a write;
 * - CPU and memory of an idle member;
 * - the time until a new member has all files, and until a node has them after a partition, with
 *   the waits of a libqb client there that sends a request each millisecond, and, as what the
 *   machine allows, those of such a client of a server in C beside it that has nothing else to do.
 *
 * The servers take turns in the same three nodes, round by round, each after writes that are not
 * measured. Prints the median of the rounds, the least and the largest value. The last column is
 * what corosync alone allows: as many messages on their way, without mount, database and server.
 *
 *   --c PATH         also a C server, and ours on node 3 with C on the others
 *   --other COMMAND  also a server in the foreground: `--other '/path/pmxcfs-ipc pmxcfs -f'`
 *   --writes N       writes in all rounds for each number of writers (10000)
 *   --rounds N       rounds (5)
 *   --files N        files that the node lacks (5000; 0: no join and no partition)
 */
import { parseArgs } from "node:util";
import { counted } from "../src/base/counted.ts";
import { alignColumns } from "../src/base/table.ts";
import { noCluster, TestCluster } from "../test/corosync/support/cluster.ts";
import { native } from "../test/support/native.ts";
import { eventually } from "../test/support/eventually.ts";
import { noPrivateNode } from "../test/support/private-node.ts";
import { program } from "../test/support/service.ts";
import { type Commands, Servers } from "./cluster-servers.ts";
import { corosyncAlone, type Rate } from "./corosync-floor.ts";
import { costsOf, costSince, privateBytes } from "./process.ts";

const WRITERS = [1, 4, 16];
const IDLE_MS = 5000;
const JOIN_MS = 60_000;
/** Duration of the client's requests, from the end of a partition. */
const CLIENT_MS = 15_000;
const GET_FS_VERSION = "1";
/** Service of the server that has nothing else to do. */
const IDLE_SERVICE = "bench-idle";
const NS_PER_MS = 1e6;
/** Writes before the measured ones, by number of writers: meanwhile Bun compiles our code. */
const WARM_WRITES = { 4: 6000, 1: 12_000 };

const { values } = parseArgs({
  options: {
    c: { type: "string" },
    other: { type: "string", multiple: true, default: [] },
    writes: { type: "string", default: "10000" },
    rounds: { type: "string", default: "5" },
    files: { type: "string", default: "5000" },
  },
});
const rounds = Number(values.rounds);
/** Writes of one round for each number of writers. */
const writes = Math.ceil(Number(values.writes) / rounds);

/** A column of the table. */
interface Side {
  readonly name: string;
  round(cluster: TestCluster): Promise<Figures>;
}

/** The figures of one round, by name and unit. */
type Figures = Map<string, number>;

async function write(cluster: TestCluster, writers: number, count: number): Promise<Rate> {
  const words = ["/etc/pve/bench", String(writers), String(count)];
  const { stdout, stderr } = await cluster.node(1).run(native("write-load"), ...words);
  if (stderr !== "") throw new Error(stderr);
  return JSON.parse(stdout) as Rate;
}

/** Adds the figures of one number of writers; returns its name. */
function addWrites(figures: Figures, writers: number, { perSecond, p50, p99 }: Rate): string {
  const name = counted(writers, "writer");
  figures.set(`${name}: writes/s`, perSecond);
  figures.set(`${name}: p50 ms`, p50 / 1000);
  figures.set(`${name}: p99 ms`, p99 / 1000);
  return name;
}

async function measureWrites(
  cluster: TestCluster,
  servers: Servers,
  figures: Figures,
): Promise<void> {
  const processes = {
    "writing server": `/proc/${await servers.pid(1)}`,
    "another server": `/proc/${await servers.pid(2)}`,
    "writing node's corosync": `/proc/${await cluster.node(1).corosyncPid}`,
  };
  await cluster.node(1).sh("mkdir /etc/pve/bench");
  await write(cluster, 4, WARM_WRITES[4]);
  await write(cluster, 1, WARM_WRITES[1]);
  for (const writers of WRITERS) {
    const before = Object.values(processes).map(costsOf);
    const name = addWrites(figures, writers, await write(cluster, writers, writes));
    for (const [index, [role, process]] of Object.entries(processes).entries()) {
      const { cpuNs } = costSince(process, before[index] ?? new Map());
      figures.set(`${name}: us CPU a write, ${role}`, cpuNs / 1000 / writes);
    }
  }
}

async function measureIdle(servers: Servers, figures: Figures): Promise<void> {
  const pid = await servers.pid(3);
  const before = costsOf(`/proc/${pid}`);
  await Bun.sleep(IDLE_MS);
  figures.set(
    "idle member: CPU ms in 10 s",
    (costSince(`/proc/${pid}`, before).cpuNs / 1e6 / IDLE_MS) * 10_000,
  );
  figures.set("idle member: MiB", privateBytes(pid) / 1024 / 1024);
}

/** Makes files on node 1 in a new directory. */
async function makeFiles(cluster: TestCluster, directory: string, count: number): Promise<void> {
  const made = await cluster.node(1).sh(`set -e; mkdir /etc/pve/${directory}
    cd /etc/pve/${directory}; seq ${count} | while read n; do echo "name: $n" >$n; done`);
  if (made.exitCode !== 0) throw new Error(made.stderr);
}

/** Seconds from the call of `begin` until node 3 has all files. */
async function untilThere(
  cluster: TestCluster,
  servers: Servers,
  { directory, count }: { readonly directory: string; readonly count: number },
  begin: () => void,
): Promise<number> {
  // The loop runs in the node: entering the node for each check would take longer than the join.
  // It looks for the last file, as listing all of them every 10 ms would be a load of its own.
  const waiting = cluster.node(3).sh(`there=/etc/pve/${directory}
    until [ -e $there/${count} ]; do sleep 0.01; done; ls $there | wc -l`);
  const start = performance.now();
  begin();
  const late = Bun.sleep(JOIN_MS).then(() => undefined);
  const ended = await Promise.race([waiting, late]);
  const seconds = (performance.now() - start) / 1000;
  if (ended?.stdout.trim() === String(count)) return seconds;
  throw new Error(`node 3 lacks files: ${ended?.stdout ?? ""}\n${servers.output(3)}`);
}

/** The time from the start of a server until its mount has all files. */
async function measureJoin(
  cluster: TestCluster,
  servers: Servers,
  figures: Figures,
): Promise<void> {
  const count = Number(values.files);
  if (count === 0) return;
  await servers.stop(3);
  await makeFiles(cluster, "joined", count);
  const place = { directory: "joined", count };
  const seconds = await untilThere(cluster, servers, place, () => servers.restart(3));
  figures.set(`join of a node that lacks ${count} files: s`, seconds);
  await servers.online();
}

/** The figures used here of the output of test/native/qb-load.c. */
interface Requests {
  readonly p99_ns: number;
  readonly max_ns: number;
  readonly errors: number;
}

/** A libqb client on node 3 that sends a request each millisecond, for CLIENT_MS. */
async function requestsTo(cluster: TestCluster, service: string): Promise<Requests> {
  const words = [service, "--ms", String(CLIENT_MS), "--sleep-us", "1000", "--id", GET_FS_VERSION];
  const { stdout, stderr } = await cluster.node(3).run(native("qb-load"), ...words);
  const requests = stdout === "" ? undefined : (JSON.parse(stdout) as Requests);
  if (requests === undefined || requests.errors > 0) {
    throw new Error(`the client of ${service}: ${stdout}${stderr}`);
  }
  return requests;
}

/** The time from the end of a partition until a node has all files, and the clients' waits. */
async function measureHeal(
  cluster: TestCluster,
  servers: Servers,
  figures: Figures,
): Promise<void> {
  const count = Number(values.files);
  if (count === 0) return;
  cluster.partition([1, 2], [3]);
  await eventually("node 1 sees two nodes online", async () => {
    const { stdout } = await cluster.node(1).run("cat", "/etc/pve/.members");
    return stdout.match(/"online": 1/g)?.length === 2;
  });
  await makeFiles(cluster, "healed", count);
  const idle = cluster.node(3).start([native("qb-echo-server"), IDLE_SERVICE]);
  await eventually("the idle server listens", () => idle.output.includes("READY"));
  const loads = Promise.all([requestsTo(cluster, "pve2"), requestsTo(cluster, IDLE_SERVICE)]);
  const place = { directory: "healed", count };
  const seconds = await untilThere(cluster, servers, place, () => cluster.heal());
  figures.set(`a partition heals, ${count} files: s`, seconds);
  const [served, floor] = await loads;
  await idle.stop();
  figures.set("... a client there waits, p99 ms", served.p99_ns / NS_PER_MS);
  figures.set("... most ms", served.max_ns / NS_PER_MS);
  figures.set("... a client of an idle server in C beside it, p99 ms", floor.p99_ns / NS_PER_MS);
  figures.set("... its most ms", floor.max_ns / NS_PER_MS);
}

function serverSide(name: string, ...commands: Commands): Side {
  return {
    name,
    async round(cluster) {
      const figures: Figures = new Map();
      await using servers = await Servers.start(cluster, commands);
      await measureWrites(cluster, servers, figures);
      await measureIdle(servers, figures);
      await measureJoin(cluster, servers, figures);
      await measureHeal(cluster, servers, figures);
      return figures;
    },
  };
}

/** Nodes with the same server. */
function alike(name: string, command: readonly string[]): Side {
  return serverSide(name, command, command, command);
}

/** C on all nodes; then ours on the node that joins, and C, which needs less, on the others. */
function besideC(c: readonly string[], ours: readonly string[]): Side[] {
  return [alike("C", c), serverSide("ours joins C", c, c, ours)];
}

const COROSYNC: Side = {
  name: "corosync alone",
  async round(cluster) {
    const figures: Figures = new Map();
    for (const writers of WRITERS) {
      addWrites(figures, writers, await corosyncAlone(cluster, writers, writes));
    }
    return figures;
  },
};

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
}

function shown(value: number): string {
  return value.toFixed(value < 10 ? 2 : 0);
}

async function main(): Promise<void> {
  const reason = noCluster() ?? noPrivateNode();
  if (reason !== undefined) throw new Error(reason);
  const ours = [...program(), "pmxcfs", "-f"];
  const sides: Side[] = [
    alike("ours", ours),
    ...(values.c === undefined ? [] : besideC([values.c, "-f"], ours)),
    ...values.other.map((command) => alike(command, command.split(" "))),
    COROSYNC,
  ];
  const results = new Map<Side, Figures[]>(sides.map((side) => [side, []]));
  await using cluster = await TestCluster.up(3);
  for (let index = 0; index < rounds; index++) {
    for (const side of sides) {
      const figures = await side.round(cluster);
      results.get(side)?.push(figures);
      console.error(`round ${index + 1} of ${rounds}, ${side.name}`);
      for (const [name, value] of figures) console.error(`  ${name}: ${shown(value)}`);
    }
  }
  const names = [...(results.get(sides[0] as Side)?.[0]?.keys() ?? [])];
  const rows = names.map((name) => {
    const cells = [...results.values()].map((figures) => {
      const all = figures.flatMap((each) => each.get(name) ?? []);
      if (all.length === 0) return "";
      return `${shown(median(all))} (${shown(Math.min(...all))} to ${shown(Math.max(...all))})`;
    });
    return [name].concat(cells);
  });
  const head = ["median (least to most)", ...sides.map(({ name }) => name)];
  for (const line of alignColumns([head, ...rows])) console.log(line);
}

await main();
