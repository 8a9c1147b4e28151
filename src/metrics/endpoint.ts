/** Where metrics go: an HTTP endpoint on a unix socket or a loopback port, and a text file. */
import { chmodSync, renameSync, rmSync, writeFileSync } from "node:fs";
import type { Log } from "../log.ts";
import type { MetricRegistry } from "./registry.ts";
import { makeWay, reasonOf, withUmask } from "./unix-path.ts";

/** What a scraper connects to. */
export type MetricsAddress =
  | { readonly unix: string }
  | { readonly hostname: string; readonly port: number };

/** Something that runs until it is closed. */
export interface Running {
  close(): void;
}

const TEXTFILE_INTERVAL_MS = 15_000;

/** Others than owner and group may not connect. */
const SOCKET_MASK = 0o117;

async function answer(request: Request, metrics: MetricRegistry): Promise<Response> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    return new Response("only GET\n", { status: 405, headers: { allow: "GET, HEAD" } });
  }
  if (new URL(request.url).pathname !== "/metrics") {
    return new Response("the metrics are at /metrics\n", { status: 404 });
  }
  return new Response(await metrics.text(), { headers: { "content-type": metrics.contentType } });
}

/** Serves GET /metrics; a string says why it cannot. */
export async function serveMetrics(
  address: MetricsAddress,
  metrics: MetricRegistry,
): Promise<Running | string> {
  const fetch = (request: Request) => answer(request, metrics);
  if (!("unix" in address)) {
    try {
      const server = Bun.serve({ ...address, fetch });
      return { close: () => void server.stop(true) };
    } catch (error) {
      return `metrics: cannot listen on ${address.hostname}:${address.port}: ${reasonOf(error)}`;
    }
  }
  const { unix } = address;
  const occupied = await makeWay(unix);
  if (occupied !== undefined) return `metrics: ${occupied}`;
  try {
    const server = withUmask(SOCKET_MASK, () => Bun.serve({ unix, fetch }));
    return {
      close() {
        void server.stop(true);
        rmSync(unix, { force: true });
      },
    };
  } catch (error) {
    return `metrics: cannot listen on ${unix}: ${reasonOf(error)}`;
  }
}

/** Whole or not at all: a collector never reads half of it. Everybody may read it. */
async function writeTextfile(file: string, metrics: MetricRegistry): Promise<void> {
  const text = await metrics.text();
  const draft = `${file}.${process.pid}.tmp`;
  rmSync(draft, { force: true });
  writeFileSync(draft, text, { flag: "wx" });
  chmodSync(draft, 0o644);
  renameSync(draft, file);
}

/**
 * Keeps a file for node_exporter's textfile collector, now and every 15 s; removed at the end, so
 * that nobody takes the last numbers for the present ones. A string says why the first one failed.
 */
export async function keepTextfile(
  file: string,
  metrics: MetricRegistry,
  log: Log,
): Promise<Running | string> {
  try {
    await writeTextfile(file, metrics);
  } catch (error) {
    return `metrics: cannot write ${file}: ${reasonOf(error)}`;
  }
  let failing = false;
  let closed = false;
  const timer = setInterval(() => {
    writeTextfile(file, metrics).then(
      () => {
        failing = false;
        if (closed) rmSync(file, { force: true });
        return undefined;
      },
      (error: unknown) => {
        if (!failing) log.warn(`cannot write ${file}: ${reasonOf(error)}`);
        failing = true;
      },
    );
  }, TEXTFILE_INTERVAL_MS);
  return {
    close() {
      closed = true;
      clearInterval(timer);
      rmSync(file, { force: true });
    },
  };
}
