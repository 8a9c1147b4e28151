/**
 * `bun bench/mount.ts [--c PATH] [--seconds N] [--rounds N]`: the mount under one process's load,
 * ours, ours without a history and a C server's, in private namespaces: operations per second, p50,
 * p99, the server's CPU per operation; IPC round trips while nobody and while somebody writes the
 * mount. Rounds alternate; the median is printed.
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { native } from "../test/support/native.ts";
import { PrivateNode } from "../test/support/private-node.ts";

interface Row {
  readonly kind: string;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  /** Of the server, per operation. */
  readonly cpuUs: number;
}

const KINDS = [
  "stat",
  "open-read-close",
  "create-write-rename",
  "readdir-1000",
  "write-1MiB",
  "mkdir-rmdir",
];
const SHOWN = [...KINDS, "ipc, mount idle", "ipc, mount written"];
/** Clock ticks of /proc/PID/stat are 10 ms. */
const TICK_US = 10_000;

const { values } = parseArgs({
  options: {
    c: { type: "string" },
    seconds: { type: "string", default: "2" },
    rounds: { type: "string", default: "3" },
  },
});

/** User and system time of a process, in microseconds. */
function cpuUs(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_US;
}

interface Side {
  readonly name: string;
  /** The C server's file, which takes the name that both have; undefined: ours. */
  readonly file: string | undefined;
  readonly options: string;
}

/** One server, each kind for so many seconds. */
async function round({ file, options }: Side): Promise<Row[]> {
  await using node = await PrivateNode.start();
  if (file !== undefined) await node.sh(`rm /run/bin/pmxcfs; ln -s ${file} /run/bin/pmxcfs`);
  await node.sh(
    `pmxcfs -l ${options}; until readlink /etc/pve/local; do :; done; mkdir /etc/pve/b`,
  );
  const pid = await node.sh("cat /run/pve-cluster.pid");
  const rows: Row[] = [];
  for (const kind of KINDS) {
    const stat = node.path(`/proc/${pid}/stat`);
    const before = cpuUs(readFileSync(stat, "latin1"));
    const ms = Number(values.seconds) * 1000;
    const line = await node.sh(`${native("mount-load")} /etc/pve/b ${ms} ${kind}`);
    const measured = JSON.parse(line) as Row & { readonly operations: number };
    const spent = cpuUs(readFileSync(stat, "latin1")) - before;
    rows.push({ ...measured, cpuUs: spent / measured.operations });
  }
  rows.push(...(await roundTrips(node)));
  return rows;
}

interface Trips {
  readonly per_second: number;
  readonly p99_ns: number;
}

/** Round trips of one libqb client (GET_FS_VERSION) with the mount idle, then written. */
async function roundTrips(node: PrivateNode): Promise<readonly [idle: Row, written: Row]> {
  const ms = Number(values.seconds) * 1000;
  const load = [native("qb-load"), "pve2", "--ms", String(ms), "--id", "1"];
  const measure = async (kind: string): Promise<Row> => {
    const { stdout } = await node.run(load);
    const {
      per_second: perSecond,
      p50_ns: p50,
      p99_ns: p99,
    } = JSON.parse(stdout) as Trips & {
      readonly p50_ns: number;
    };
    return { kind, perSecond, p50: p50 / 1000, p99: p99 / 1000, cpuUs: 0 };
  };
  const idle = await measure("ipc, mount idle");
  const writer = [native("mount-load"), "/etc/pve/b", String(ms), "create-write-rename"];
  const writing = node.run(writer);
  const written = await measure("ipc, mount written");
  await writing;
  return [idle, written];
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
}

async function main(): Promise<void> {
  const sides: Side[] = [
    { name: "ours", file: undefined, options: "" },
    { name: "ours, no history", file: undefined, options: "--history off" },
    ...(values.c === undefined ? [] : [{ name: "C", file: values.c, options: "" }]),
  ];
  const results = new Map<Side, Row[]>(sides.map((side) => [side, []]));
  for (let index = 0; index < Number(values.rounds); index++) {
    for (const side of sides) results.get(side)?.push(...(await round(side)));
  }
  for (const kind of SHOWN) {
    for (const [{ name }, rows] of results) {
      const own = rows.filter((row) => row.kind === kind);
      const of = (field: "perSecond" | "p50" | "p99" | "cpuUs", digits: number): string =>
        median(own.map((row) => row[field])).toFixed(digits);
      console.log(
        `${kind.padEnd(20)} ${name.padEnd(16)} ${of("perSecond", 0).padStart(8)}/s  ` +
          `p50 ${of("p50", 1)} us  p99 ${of("p99", 1)} us  server CPU ${of("cpuUs", 1)} us`,
      );
    }
  }
}

await main();
