/** A load of libqb clients (test/native/qb-load.c), for tests under load and benchmarks. */
import { native } from "./native.ts";

/** The output of qb-load: one line for all clients together, latencies in ns. */
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
  /** The last error: a negative errno, or 0. */
  readonly error: number;
  readonly mismatches: number;
  /** Body bytes of the last answer. */
  readonly answer_bytes: number;
}

/** Runs qb-load to its end. `flags`: see the head of qb-load.c, without the service name. */
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
