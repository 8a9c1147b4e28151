/**
 * `bun bench/profile.ts`: the costs of a request in both echo servers, for docs/performance.md:
 * instructions in user space (callgrind), system calls (perf stat; strace), context switches
 * (/proc), heap (memcheck; for ours bench/allocations.ts). Needs perf, valgrind and strace. The
 * last two slow a server down: ours then polls its rings for longer, and its clients sleep.
 *
 *   --requests N   round trips of each measurement (default 20000)
 *   --only TEXT    the rows whose name contains TEXT
 */
import { parseArgs } from "node:util";
import { loadService } from "../test/support/qb-load.ts";
import { startService } from "../test/support/service.ts";
import { allocatedPerRequest } from "./allocations.ts";
import { costSince, costsOf } from "./process.ts";
import { command, SIDES, type TaskSide } from "./target.ts";
import { cAllocations, type Counts, instructions, sum, systemCalls, tracedCalls } from "./tools.ts";

const SHAPES = [
  { title: "back to back", flags: [] },
  { title: "64 in flight", flags: ["--depth", "64"] },
] as const;

/** Parts smaller than this are left out. */
const SMALLEST_PART = 0.03;

const { values } = parseArgs({
  options: {
    requests: { type: "string", default: "20000" },
    only: { type: "string", default: "" },
  },
});
const { only } = values;
const requests = Number(values.requests);

function trim(value: number): string {
  const digits = Number.parseFloat(value.toPrecision(3));
  return digits.toLocaleString("en", { maximumFractionDigits: 3 });
}

/** `1,234 (epoll_wait 1,000, futex 234)`, per request. */
function parts(counts: Counts): string {
  const total = sum(counts);
  const named = [...counts]
    .filter(([, count]) => count > total * SMALLEST_PART)
    .toSorted(([, one], [, other]) => other - one)
    .map(([name, count]) => `${name} ${trim(count / requests)}`);
  return `${trim(total / requests)} (${named.join(", ")})`;
}

function load(flags: readonly string[]): string[] {
  return [...flags, "--requests", String(requests)];
}

async function switches(side: TaskSide, flags: readonly string[]): Promise<string> {
  await using server = await startService((name) => command(side, name, { echo: [] }));
  await loadService(server.name, ...load(flags));
  const before = costsOf(`/proc/${server.pid}`);
  await loadService(server.name, ...load(flags));
  return trim(costSince(`/proc/${server.pid}`, before).switches / requests);
}

async function heap(side: TaskSide, flags: readonly string[]): Promise<string> {
  if (side === "c") {
    const { blocks, bytes } = await cAllocations(requests, flags);
    return `${trim(bytes / requests)} (${trim(blocks / requests)} blocks)`;
  }
  const [transport, echo] = [
    await allocatedPerRequest("empty", ...flags, "--requests", "500000"),
    await allocatedPerRequest("echo", ...flags, "--requests", "500000"),
  ];
  return `${trim(transport)} (echo, with a view of the body: ${trim(echo)})`;
}

/** The cells of all shapes, measured one after the other. */
async function each(cell: (flags: readonly string[]) => Promise<string>): Promise<string[]> {
  const cells: string[] = [];
  for (const { flags } of SHAPES) cells.push(await cell(flags));
  return cells;
}

const ROWS: Readonly<Record<string, (side: TaskSide) => Promise<string[]>>> = {
  instructions: async (side) => {
    const loads = SHAPES.map(({ flags }) => load(flags));
    return (await instructions(side, loads)).map(parts);
  },
  "system calls": (side) => each(async (flags) => parts(await systemCalls(side, load(flags)))),
  "system calls, traced": (side) => {
    return each(async (flags) => parts(await tracedCalls(side, load(flags))));
  },
  "context switches": (side) => each((flags) => switches(side, flags)),
  "heap, bytes": (side) => each((flags) => heap(side, flags)),
};

console.log(`| per request | ${SHAPES.map(({ title }) => title).join(" | ")} |`);
console.log("| --- | --- | --- |");
for (const [title, cells] of Object.entries(ROWS)) {
  if (!title.includes(only)) continue;
  for (const side of SIDES) {
    console.log(`| ${[`${title}, ${side}`, ...(await cells(side))].join(" | ")} |`);
  }
}
