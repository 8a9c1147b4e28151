/**
 * The monitoring of a serving process: its status, and optional metrics. Wraps the handler before
 * the service is published, and is opened afterwards.
 */
import type { Handler } from "../ipc/handler.ts";
import type { Service } from "../ipc/service.ts";
import type { Log } from "../base/log.ts";
import type { MetricsAddress, Running } from "./endpoint.ts";
import type { MetricSources } from "./families.ts";
import { LoopPauses } from "./loop-pauses.ts";
import { serveStatus, serveStatusBelow, statusOf } from "./status.ts";
import { RequestCounters } from "./request-counters.ts";
import { RequestLog, type RequestText } from "./request-log.ts";

/** What to publish where; undefined: not at all. */
export interface ObserveOptions {
  readonly metrics: MetricsAddress | undefined;
  readonly textfile: string | undefined;
  /** The socket of `top`. If it is only the default (`asked` false), a failure is not fatal. */
  readonly status: { readonly path: string; readonly asked: boolean } | undefined;
  /** A descriptor that gets one line when the service listens, and is then closed. */
  readonly readyFd: number | undefined;
}

/** What to publish of a server, and where. */
export interface Observe extends ObserveOptions {
  readonly sources: MetricSources;
  /** Names of operations by message id, for labels. */
  readonly names: ReadonlyMap<number, string>;
  /** The text of a request in debug lines. */
  readonly text: RequestText;
}

/** For a service whose requests only its handler can interpret. */
export const OPAQUE: Pick<Observe, "sources" | "names" | "text"> = {
  sources: {},
  names: new Map(),
  text: (id, body) => `request-${id} body_bytes=${body.byteLength}`,
};

export const NOTHING_OBSERVED: Observe = {
  metrics: undefined,
  textfile: undefined,
  status: undefined,
  readyFd: undefined,
  ...OPAQUE,
};

/** Opens the requested metrics; a string says which could not be opened. */
async function openMetrics(
  service: Service,
  counters: RequestCounters,
  { metrics: address, textfile, sources }: Observe,
  log: Log,
): Promise<readonly Running[] | string> {
  const { metricsOf } = await import("./families.ts");
  const { keepTextfile, serveMetrics } = await import("./endpoint.ts");
  const pauses = new LoopPauses();
  const metrics = metricsOf(service, counters, { ...sources, pauses: () => pauses.buckets });
  const opened: Running[] = [pauses];
  const outlets = [
    () => (address === undefined ? undefined : serveMetrics(address, metrics)),
    () => (textfile === undefined ? undefined : keepTextfile(textfile, metrics, log)),
  ];
  for (const open of outlets) {
    const running = await open();
    if (typeof running === "string") {
      for (const each of opened) each.close();
      return running;
    }
    if (running !== undefined) opened.push(running);
  }
  return opened;
}

/** The monitoring outputs of one server, and the wrapping handlers that feed them. */
export class Observation {
  /** The handler that the service calls. */
  readonly handler: Handler;
  readonly #observe: Observe;
  readonly #counters: RequestCounters | undefined;
  readonly #requests: RequestLog;
  readonly #log: Log;
  readonly #running: Running[] = [];

  /** Requests are counted only for metrics, and logged only while debug is on. */
  constructor(handler: Handler, observe: Observe, log: Log) {
    this.#observe = observe;
    this.#log = log;
    const wanted = observe.metrics !== undefined || observe.textfile !== undefined;
    this.#counters = wanted ? new RequestCounters(handler, observe.names) : undefined;
    this.#requests = new RequestLog(this.#counters ?? handler, observe.text, log.tagged("request"));
    this.handler = this.#requests;
    if (log.debugOn) this.#requests.show(true);
  }

  /** Switches debug output, requests included; returns the new state. */
  toggleDebug(): boolean {
    const on = this.#log.toggleDebug();
    this.#requests.show(on);
    return on;
  }

  /**
   * Call it when the service is published. A string says what could not be opened; in that case
   * nothing stays open.
   */
  async open(service: Service): Promise<string | undefined> {
    const log = this.#log.tagged("main");
    const failure =
      (await this.#openStatus(service, log)) ?? (await this.#openMetrics(service, log));
    if (failure !== undefined) this.close();
    return failure;
  }

  async #openStatus(service: Service, log: Log): Promise<string | undefined> {
    const { status, sources } = this.#observe;
    if (status === undefined) return undefined;
    const serve = status.asked ? serveStatus : serveStatusBelow;
    const running = await serve(status.path, () => statusOf(service, sources));
    if (typeof running !== "string") this.#running.push(running);
    else if (status.asked) return running;
    else log.warn(`${running}; pmxcfs-ipc top cannot see this server`);
    return undefined;
  }

  async #openMetrics(service: Service, log: Log): Promise<string | undefined> {
    if (this.#counters === undefined) return undefined;
    const opened = await openMetrics(service, this.#counters, this.#observe, log);
    if (typeof opened === "string") return opened;
    this.#running.push(...opened);
    return undefined;
  }

  close(): void {
    for (const each of this.#running) each.close();
  }
}
