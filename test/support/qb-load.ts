/** The load of libqb clients of test/native/qb-load.c, for behaviours under load and benchmarks. */
import { native } from "./native.ts";

/** What qb-load prints: latencies in ns, one line for all clients together. */
export interface LoadResult {
  readonly clients: number;
  readonly requests: number;
  readonly seconds: number;
  readonly per_second: number;
  readonly p50_ns: number;
  readonly p99_ns: number;
  readonly p999_ns: number;
  readonly max_ns: number;
  readonly client_cpu_us: number;
  readonly errors: number;
  /** The last error seen: a negative errno, 0 when there was none. */
  readonly error: number;
  readonly mismatches: number;
}

/** Runs qb-load to its end. `flags` as in the head of qb-load.c, without the service name. */
export async function loadService(service: string, ...flags: string[]): Promise<LoadResult> {
  const child = Bun.spawn([native("qb-load"), service, ...flags], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [text, complaint] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) !== 0) throw new Error(`qb-load ${flags.join(" ")}: ${complaint}`);
  return JSON.parse(text) as LoadResult;
}
