/**
 * Puts load on a service and measures the CPU time and memory of its process: children with one
 * connection each, all started before any of them sends, run in rounds. With two services the
 * rounds alternate, so that other activity of the machine affects both.
 */
import { readFileSync } from "node:fs";
import { QbFailure } from "../../client/failure.ts";
import { QbClient } from "../../client/qb-client.ts";
import { ChildLines } from "../../platform/child-lines.ts";
import { selfCommand } from "../../platform/self.ts";
import { Histogram } from "../../base/histogram.ts";
import { LOAD_VARIABLE, type LoadReport, type LoadWork } from "./load-child.ts";

/** Time limits for a child to be ready, and to report after its working time. */
const READY_MS = 20_000;
const REPORT_MS = 20_000;
/** Clock ticks per second of /proc/PID/stat (sysconf _SC_CLK_TCK; 100 wherever Linux runs). */
const TICKS = 100;

/** Results of loading one service. */
export interface LoadResult {
  readonly socket: string;
  readonly serverPid: number;
  readonly latencies: Histogram;
  errors: number;
  lastError: number;
  /** The sum of all rounds. */
  elapsedMs: number;
  clientCpuMs: number;
  /** Undefined if the server's process is not visible. */
  serverCpuMs: number | undefined;
  /** Resident memory at the end, and its peak. */
  serverRssBytes: number | undefined;
  serverPeakBytes: number | undefined;
}

export interface LoadOptions {
  readonly connections: number;
  readonly rounds: number;
  /** Duration of all rounds together; or `count` requests per connection. */
  readonly durationMs: number;
  readonly count: number;
  /** Called before each round of each service; `round` counts from 1. */
  readonly onRound?: (socket: string, round: number) => void;
  /** Its rejection ends the load: the children are killed, and the error is thrown. */
  readonly stopped: Promise<never>;
}

/** CPU time of a process so far, ms. */
function cpuMsOf(pid: number): number | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The command's name may contain anything: the fields are counted from its end.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS;
  } catch {
    return undefined;
  }
}

function memoryOf(pid: number, field: "VmRSS" | "VmHWM"): number | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/status`, "latin1");
    const found = new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(text);
    return found === null ? undefined : Number(found[1]) * 1024;
  } catch {
    return undefined;
  }
}

class LoadingClient {
  readonly #process: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #lines: ChildLines;

  constructor(work: LoadWork) {
    this.#process = Bun.spawn([...selfCommand(), "bench"], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
      env: { ...process.env, [LOAD_VARIABLE]: JSON.stringify(work) },
    });
    this.#lines = new ChildLines(this.#process.stdout);
  }

  /** The next line within `timeoutMs`, else the reason of the failure. */
  async next(timeoutMs: number): Promise<{ line: string } | { failure: string }> {
    const next = await this.#lines.next(timeoutMs);
    if (next === "late") return { failure: "a loading client hangs: the server does not answer" };
    return next === "ended" ? { failure: "a loading client died" } : next;
  }

  async go(durationMs: number, count: number): Promise<LoadReport | string> {
    await this.#process.stdin.write(`go ${durationMs} ${count}\n`);
    await this.#process.stdin.flush();
    // A number of requests has no end time; the children's own timeouts bound each request.
    const next = await this.next(count > 0 ? 24 * 3_600_000 : durationMs + REPORT_MS);
    if ("failure" in next) return next.failure;
    const report = JSON.parse(next.line) as LoadReport | { failure: string };
    return "failure" in report ? report.failure : report;
  }

  async end(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.exited;
  }
}

/** One service with its clients; ended by `end`. */
class Loaded {
  readonly result: LoadResult;
  readonly #clients: LoadingClient[] = [];

  constructor(socket: string, serverPid: number) {
    this.result = {
      socket,
      serverPid,
      latencies: new Histogram(),
      errors: 0,
      lastError: 0,
      elapsedMs: 0,
      clientCpuMs: 0,
      serverCpuMs: undefined,
      serverRssBytes: undefined,
      serverPeakBytes: undefined,
    };
  }

  async start(work: LoadWork, connections: number): Promise<string | undefined> {
    for (let index = 0; index < connections; index++) this.#clients.push(new LoadingClient(work));
    for (const client of this.#clients) {
      const next = await client.next(READY_MS);
      if ("failure" in next) return next.failure;
      if (next.line !== "ready") return (JSON.parse(next.line) as { failure: string }).failure;
    }
    return undefined;
  }

  async round(durationMs: number, count: number): Promise<string | undefined> {
    const { result } = this;
    const before = cpuMsOf(result.serverPid);
    const start = performance.now();
    const reports = await Promise.all(this.#clients.map((client) => client.go(durationMs, count)));
    result.elapsedMs += performance.now() - start;
    const after = cpuMsOf(result.serverPid);
    if (before !== undefined && after !== undefined) {
      result.serverCpuMs = (result.serverCpuMs ?? 0) + after - before;
    }
    result.serverRssBytes = memoryOf(result.serverPid, "VmRSS");
    result.serverPeakBytes = memoryOf(result.serverPid, "VmHWM");
    for (const report of reports) {
      if (typeof report === "string") return report;
      result.latencies.add(report.latencies);
      result.errors += report.errors;
      result.clientCpuMs += report.cpuMs;
      if (report.lastError !== 0) result.lastError = report.lastError;
    }
    return undefined;
  }

  async end(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.end()));
  }
}

async function serverPidOf(socket: string): Promise<number | string> {
  const client = await QbClient.connect(socket, { timeoutMs: 3000 });
  if (client instanceof QbFailure) return `${socket}: ${String(client)}`;
  client.close();
  return client.server.pid;
}

/**
 * Puts load on the services of `works` in turns; the results in that order, or the failure. Throws
 * the reason of `stopped`.
 */
export async function runLoad(
  works: readonly LoadWork[],
  { connections, rounds, durationMs, count, onRound, stopped }: LoadOptions,
): Promise<LoadResult[] | string> {
  const all: Loaded[] = [];
  try {
    for (const work of works) {
      const pid = await serverPidOf(work.socket);
      if (typeof pid === "string") return pid;
      const loaded = new Loaded(work.socket, pid);
      all.push(loaded);
      const failure = await Promise.race([loaded.start(work, connections), stopped]);
      if (failure !== undefined) return `${work.socket}: ${failure}`;
    }
    // With fewer requests than rounds there is a request in each of fewer rounds.
    const parts = count > 0 ? Math.min(rounds, count) : rounds;
    for (let round = 0; round < parts; round++) {
      const share = Math.floor((count * (round + 1)) / parts) - Math.floor((count * round) / parts);
      for (const loaded of all) {
        onRound?.(loaded.result.socket, round + 1);
        const failure = await Promise.race([loaded.round(durationMs / rounds, share), stopped]);
        if (failure !== undefined) return `${loaded.result.socket}: ${failure}`;
      }
    }
    return all.map(({ result }) => result);
  } finally {
    await Promise.all(all.map((loaded) => loaded.end()));
  }
}
