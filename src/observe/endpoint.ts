/**
 * Publishes metrics: on an HTTP endpoint (a unix socket or a loopback port), and in a text file.
 */
import { errorText } from "../base/error-text.ts";
import { FilePlace } from "../platform/atomic-file.ts";
import { ObserveLimits } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import { type HttpAnswer, httpHandler, type HttpRequest } from "./http.ts";
import type { MetricRegistry } from "./registry.ts";
import { listenAtPath, SocketMask } from "./unix-path.ts";

/** The address that scrapers connect to. */
export type MetricsAddress =
  | { readonly unix: string }
  | { readonly hostname: string; readonly port: number };

/** Something that runs until it is closed. */
export interface Running {
  close(): void;
}

const TEXTFILE_INTERVAL_MS = 15_000;

/**
 * The rendered metrics, reused for a while so that rendering takes a bounded part of the time.
 */
class RecentText {
  readonly #metrics: MetricRegistry;
  #text: Promise<string> | undefined;
  #goodUntil = 0;

  constructor(metrics: MetricRegistry) {
    this.#metrics = metrics;
  }

  read(): Promise<string> {
    const now = performance.now();
    if (this.#text !== undefined && now < this.#goodUntil) return this.#text;
    this.#goodUntil = Infinity;
    this.#text = this.#write(now);
    return this.#text;
  }

  async #write(startedMs: number): Promise<string> {
    try {
      return await this.#metrics.text();
    } finally {
      const now = performance.now();
      this.#goodUntil = now + (now - startedMs) * (1 / ObserveLimits.renderShare - 1);
    }
  }
}

async function answer(
  { method, path }: HttpRequest,
  text: RecentText,
  type: string,
): Promise<HttpAnswer> {
  if (method !== "GET" && method !== "HEAD") {
    return { status: 405, body: "only GET\n", headers: { allow: "GET, HEAD" } };
  }
  if (path !== "/metrics") return { status: 404, body: "the metrics are at /metrics\n" };
  return { status: 200, body: await text.read(), headers: { "content-type": type } };
}

/** Serves GET /metrics; a string says why that failed. */
export async function serveMetrics(
  address: MetricsAddress,
  metrics: MetricRegistry,
): Promise<Running | string> {
  const text = new RecentText(metrics);
  const socket = httpHandler((request) => answer(request, text, metrics.contentType));
  if (!("unix" in address)) {
    try {
      const server = Bun.listen({ ...address, socket, allowHalfOpen: true });
      return { close: () => server.stop(true) };
    } catch (error) {
      return `metrics: cannot listen on ${address.hostname}:${address.port}: ${errorText(error)}`;
    }
  }
  const { unix } = address;
  const listener = await listenAtPath(unix, SocketMask.GROUP, (opened) =>
    Bun.listen({ unix: opened, socket, allowHalfOpen: true }),
  );
  return typeof listener === "string" ? `metrics: ${listener}` : listener;
}

/** Writes atomically, so that a collector never reads a partial file. All users may read it. */
async function writeTextfile(place: FilePlace, metrics: MetricRegistry): Promise<void> {
  const problem = place.write(await metrics.text(), 0o644, "no sync");
  if (problem !== undefined) throw new Error(problem);
}

/**
 * Writes a file for node_exporter's textfile collector, now and every 15 s; removes it at the end,
 * so that old values are not taken for current ones. A string says why the first write failed.
 */
export async function keepTextfile(
  file: string,
  metrics: MetricRegistry,
  log: Log,
): Promise<Running | string> {
  const place = FilePlace.of(file);
  if (typeof place === "string") return `metrics: cannot write ${file}: ${place}`;
  try {
    await writeTextfile(place, metrics);
  } catch (error) {
    return `metrics: cannot write ${file}: ${errorText(error)}`;
  }
  let failing = false;
  let closed = false;
  const timer = setInterval(() => {
    writeTextfile(place, metrics).then(
      () => {
        failing = false;
        if (closed) place.remove();
        return undefined;
      },
      (error: unknown) => {
        if (!failing) log.warn(`cannot write ${file}: ${errorText(error)}`);
        failing = true;
      },
    );
  }, TEXTFILE_INTERVAL_MS);
  return {
    close() {
      closed = true;
      clearInterval(timer);
      place.remove();
    },
  };
}
