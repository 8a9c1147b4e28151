/**
 * prom-client with metrics that are read at a scrape instead of being kept up to date: no counter
 * is kept twice, and nothing is spent before the first scrape. The only file that imports
 * prom-client; loaded only when metrics are on.
 */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Buckets } from "./request-counters.ts";

type Labels = Readonly<Record<string, string>>;

/** One number, or one for each set of labels. */
export type Reading = number | readonly (readonly [labels: Labels, value: number])[];

/** A finite upper bound as shown, and the number of buckets below it. */
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

/** Every label in use: prom-client needs them in advance. */
const LABELS = (
  "operation errno reason level config version revision bun target trigger what " +
  "group mode service"
).split(" ");

/** The lines of one histogram, whose buckets sum up to what lies below each bound. */
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

/** A histogram whose counts are kept elsewhere. */
class ReadHistogram extends Histogram {
  readonly #read: () => Row[];

  constructor(name: string, help: string, read: () => Row[]) {
    super({ name, help, registers: [] });
    this.#read = read;
  }

  /** What the registry prints; not in prom-client's types. */
  getForPromString(): Promise<object> {
    const { name, help } = this as unknown as { name: string; help: string };
    return Promise.resolve({ name, help, type: "histogram", values: this.#read() });
  }
}

/** A reading as samples: a bare number has no labels. */
function samplesOf(reading: Reading): readonly (readonly [labels: Labels, value: number])[] {
  return typeof reading === "number" ? [[{}, reading]] : reading;
}

/** What is known of a metric before it has a value. */
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

  /** In the order in which they were made. */
  get families(): readonly Family[] {
    return this.#families;
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** All of them as of now, in Prometheus's text format. */
  async text(): Promise<string> {
    return await this.#registry.metrics();
  }

  /** A value that goes up and down. */
  gauge(name: string, help: string, read: () => Reading): void {
    this.#families.push({ name: PREFIX + name, help, type: "gauge" });
    this.#registry.registerMetric(
      new Gauge({
        name: PREFIX + name,
        help,
        labelNames: LABELS,
        registers: [],
        collect() {
          this.reset();
          for (const [labels, value] of samplesOf(read())) this.set(labels, value);
        },
      }),
    );
  }

  /** A value that only grows; the name ends in `_total`. */
  counter(name: string, help: string, read: () => Reading): void {
    this.#families.push({ name: PREFIX + name, help, type: "counter" });
    this.#registry.registerMetric(
      new Counter({
        name: PREFIX + name,
        help,
        labelNames: LABELS,
        registers: [],
        collect() {
          this.reset();
          for (const [labels, value] of samplesOf(read())) this.inc(labels, value);
        },
      }),
    );
  }

  /** Buckets, in the unit that the name ends in. */
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
