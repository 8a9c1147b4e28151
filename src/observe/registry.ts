/**
 * prom-client with metrics that are read at each scrape, so that no counter is kept twice and
 * nothing is computed before the first scrape. The only file that imports prom-client; loaded only
 * if metrics are on.
 */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Buckets } from "./request-counters.ts";

type Labels = Readonly<Record<string, string>>;

/** One value, or one for each set of labels. */
export type Reading = number | readonly (readonly [labels: Labels, value: number])[];

/** A finite upper bound as shown, and the number of source buckets up to it. */
export interface Bound {
  readonly le: number;
  readonly buckets: number;
}

interface Row {
  readonly metricName: string;
  readonly labels: Labels;
  readonly value: number;
}

/** Prefix of every name. */
const PREFIX = "pmxcfs_ipc_";

/** All labels but `le`: prom-client needs them in advance. */
export const LABELS: readonly string[] = (
  "operation errno reason level config version revision bun target trigger what " +
  "group mode service"
).split(" ");

/** The lines of one histogram, with cumulative buckets. */
function rowsOf(name: string, labels: Labels, buckets: Buckets, bounds: readonly Bound[]): Row[] {
  const { counts, sum } = buckets;
  const below = (end: number) => counts.slice(0, end).reduce((total, each) => total + each, 0);
  const count = below(counts.length);
  const metricName = `${name}_bucket`;
  return [
    ...bounds.map((bound) => {
      return { metricName, labels: { le: `${bound.le}`, ...labels }, value: below(bound.buckets) };
    }),
    { metricName, labels: { le: "+Inf", ...labels }, value: count },
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: count },
  ];
}

/** A histogram whose counts are read from their source. */
class ReadHistogram extends Histogram {
  readonly #read: () => Row[];

  constructor(name: string, help: string, read: () => Row[]) {
    super({ name, help, registers: [] });
    this.#read = read;
  }

  /** Called by the registry for its output; prom-client's types do not declare it. */
  getForPromString(): Promise<object> {
    const { name, help } = this as unknown as { name: string; help: string };
    return Promise.resolve({ name, help, type: "histogram", values: this.#read() });
  }
}

/** A reading as samples; a single number has no labels. */
function samplesOf(reading: Reading): readonly (readonly [labels: Labels, value: number])[] {
  return typeof reading === "number" ? [[{}, reading]] : reading;
}

/** The description of a metric. */
export interface Family {
  /** With its prefix. */
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
}

/** Metrics named `pmxcfs_ipc_...`. */
export class MetricRegistry {
  readonly #registry = new Registry();
  readonly #families: Family[] = [];

  /** The metrics, in the order of their creation. */
  get families(): readonly Family[] {
    return this.#families;
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The current values of all metrics, in Prometheus's text format. */
  async text(): Promise<string> {
    return await this.#registry.metrics();
  }

  /** Adds a value that goes up and down. */
  gauge(name: string, help: string, read: () => Reading): void {
    this.#families.push({ name: PREFIX + name, help, type: "gauge" });
    this.#registry.registerMetric(
      new Gauge({
        name: PREFIX + name,
        help,
        labelNames: [...LABELS],
        registers: [],
        collect() {
          this.reset();
          for (const [labels, value] of samplesOf(read())) this.set(labels, value);
        },
      }),
    );
  }

  /** Adds a value that only increases; the name ends with `_total`. */
  counter(name: string, help: string, read: () => Reading): void {
    this.#families.push({ name: PREFIX + name, help, type: "counter" });
    this.#registry.registerMetric(
      new Counter({
        name: PREFIX + name,
        help,
        labelNames: [...LABELS],
        registers: [],
        collect() {
          this.reset();
          for (const [labels, value] of samplesOf(read())) this.inc(labels, value);
        },
      }),
    );
  }

  /** Adds a histogram, in the unit that the name ends with. */
  histogram(
    name: string,
    help: string,
    bounds: readonly Bound[],
    read: () => readonly (readonly [labels: Labels, buckets: Buckets])[],
  ): void {
    const full = PREFIX + name;
    this.#families.push({ name: full, help, type: "histogram" });
    const rows = () => read().flatMap(([labels, each]) => rowsOf(full, labels, each, bounds));
    this.#registry.registerMetric(new ReadHistogram(full, help, rows));
  }
}
