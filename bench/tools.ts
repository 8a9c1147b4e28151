/** Runs counting tools on the benchmark's servers, and parses their output. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { native } from "../test/support/native.ts";
import { loadService } from "../test/support/qb-load.ts";
import { eventually } from "../test/support/eventually.ts";
import { isListening, Service, uniqueName } from "../test/support/service.ts";
import { command, type TaskSide } from "./target.ts";

/** Counts by name. */
export type Counts = ReadonlyMap<string, number>;

/** Most rounds of a load until code is compiled. */
const WARM_UPS = 8;

/** Two rounds that differ by less than this part count as settled. */
const SETTLED = 0.03;

/** The name without directory, version and hash; `JIT` for code that is in no file. */
function shortName(object: string): string {
  return object === "???" ? "JIT" : basename(object).replace(/(?<=\.so).*|-[0-9a-f]{16}$/u, "");
}

/** Instructions by object file, from callgrind's output. */
export function readCallgrind(text: string): Counts {
  const counts = new Map<string, number>();
  const names = new Map<string, string>();
  let object = "";
  let isCallee = false;
  for (const line of text.split("\n")) {
    const [, kind, number = "", name = ""] = /^(c?ob)=\((\d+)\) ?(.*)$/u.exec(line) ?? [];
    if (kind !== undefined && name !== "") names.set(number, shortName(name));
    if (kind === "ob") object = names.get(number) ?? "";
    const cost = /^[-+*\d]\S* (\d+)$/u.exec(line);
    // The line after `calls=` has the callee's cost, which is also counted for the callee itself.
    if (cost !== null && !isCallee) counts.set(object, (counts.get(object) ?? 0) + Number(cost[1]));
    isCallee = line.startsWith("calls=");
  }
  return counts;
}

/** Calls by name, from the table of `strace -c`. */
export function readStrace(text: string): Counts {
  const counts = new Map<string, number>();
  for (const line of text.split("\n")) {
    const words = line.trim().split(/\s+/u);
    const name = words.at(-1) ?? "";
    const calls = Number(words[3]);
    if (Number.isInteger(calls) && name !== "total") counts.set(name, calls);
  }
  return counts;
}

/** Calls by name, from `perf stat -x,` on the tracepoints of system calls, without zero counts. */
export function readPerf(text: string): Counts {
  const line = /^(\d+),[^,]*,syscalls:sys_enter_(\w+),/gmu;
  const all = [...text.matchAll(line)].map(
    ([, calls, name = ""]) => [name, Number(calls)] as const,
  );
  return new Map(all.filter(([, calls]) => calls > 0));
}

/** The total allocations, from memcheck's output. */
export function readHeapUsage(text: string): { blocks: number; bytes: number } {
  const found = /total heap usage: ([\d,]+) allocs, .* ([\d,]+) bytes allocated/u.exec(text);
  const [blocks, bytes] = [found?.[1], found?.[2]].map((digits = "") => {
    return Number(digits.replaceAll(",", ""));
  });
  return { blocks: blocks ?? 0, bytes: bytes ?? 0 };
}

/** The sum of all counts. */
export function sum(counts: Counts): number {
  return [...counts.values()].reduce((total, count) => total + count, 0);
}

/** Runs `body` with a temporary directory. */
async function withDirectory<T>(body: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-profile-"));
  try {
    return await body(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Time limit for a server to start under a tool, in ms. */
const START_MS = 60_000;

async function startUnder(tool: readonly string[], side: TaskSide): Promise<Service> {
  const name = uniqueName("profile");
  const server = new Service(name, [...tool, ...command(side, name, { echo: [] })], {});
  try {
    await eventually(`${tool.join(" ")}: listening`, () => isListening(name), START_MS);
  } catch (error) {
    await server.stop("SIGKILL");
    throw error;
  }
  return server;
}

/** Instructions in user space while these loads run, one after the other, by object file. */
export async function instructions(
  side: TaskSide,
  loads: readonly (readonly string[])[],
): Promise<Counts[]> {
  return await withDirectory(async (directory) => {
    const out = join(directory, "out");
    // Compiled JavaScript is self-modifying code, and our program may execute itself again.
    const tool = [
      "valgrind",
      "--tool=callgrind",
      "--smc-check=all-non-file",
      "--trace-children=yes",
    ];
    await using server = await startUnder([...tool, `--callgrind-out-file=${out}`], side);
    let dumps = 0;
    const dump = async (): Promise<string> => {
      Bun.spawnSync(["callgrind_control", "-d", String(server.pid)]);
      const file = `${out}.${++dumps}`;
      return await eventually(`${file} written`, () => {
        const text = existsSync(file) ? readFileSync(file, "latin1") : "";
        return /^totals: /mu.test(text) ? text : undefined;
      });
    };
    const counts: Counts[] = [];
    for (const flags of loads) {
      let before = 0;
      for (let round = 0; round < WARM_UPS; round++) {
        await dump();
        await loadService(server.name, ...flags);
        const counted = readCallgrind(await dump());
        const total = sum(counted);
        const isSettled = Math.abs(total - before) < before * SETTLED;
        before = total;
        if (isSettled || round === WARM_UPS - 1) {
          counts.push(counted);
          break;
        }
      }
    }
    return counts;
  });
}

/** System calls of all threads while a load runs, by name, as the kernel counts them. */
export async function systemCalls(side: TaskSide, flags: readonly string[]): Promise<Counts> {
  return await withDirectory(async (directory) => {
    const out = join(directory, "out");
    await using server = await startUnder([], side);
    await loadService(server.name, ...flags);
    const events = ["-x", ",", "-e", "syscalls:sys_enter_*", "-p", String(server.pid), "-o", out];
    const load = [native("qb-load"), server.name, ...flags];
    const perf = Bun.spawnSync(["perf", "stat", ...events, "--", ...load], { stderr: "pipe" });
    if (!perf.success) throw new Error(perf.stderr.toString());
    return readPerf(readFileSync(out, "latin1"));
  });
}

/** The same, counted by strace, which stops the server at each call. */
export async function tracedCalls(side: TaskSide, flags: readonly string[]): Promise<Counts> {
  return await withDirectory(async (directory) => {
    const out = join(directory, "out");
    await using server = await startUnder([], side);
    await loadService(server.name, ...flags);
    const strace = Bun.spawn(["strace", "-f", "-c", "-o", out, "-p", String(server.pid)], {
      stdout: "ignore",
      stderr: "ignore",
    });
    await eventually("strace attached", () => isTraced(server.pid));
    await loadService(server.name, ...flags);
    strace.kill("SIGINT");
    await strace.exited;
    return readStrace(readFileSync(out, "latin1"));
  });
}

function isTraced(pid: number): boolean {
  return !/^TracerPid:\s+0$/mu.test(readFileSync(`/proc/${pid}/status`, "latin1"));
}

/** Blocks and bytes that a C server allocates while it answers this many requests. */
export async function cAllocations(
  requests: number,
  flags: readonly string[],
): Promise<{ blocks: number; bytes: number }> {
  const inAll = async (count: number) =>
    await withDirectory(async (directory) => {
      const log = join(directory, "log");
      const server = await startUnder(["valgrind", "--tool=memcheck", `--log-file=${log}`], "c");
      await loadService(server.name, ...flags, "--requests", String(count));
      await server.stop();
      return readHeapUsage(readFileSync(log, "latin1"));
    });
  const [few, many] = [await inAll(requests), await inAll(requests * 2)];
  return { blocks: many.blocks - few.blocks, bytes: many.bytes - few.bytes };
}
