/**
 * The report as one self-contained page: plots as SVG on logarithmic axes (round trips per second
 * by row, latencies by row, round trips over clients), and the tables.
 */
import { escapeMarkup } from "../src/base/escape.ts";
import { type Report, rows, runsText } from "./report.ts";
import type { Outcome } from "./run.ts";
import type { Measured, Scenario } from "./scenario.ts";
import type { Side } from "./target.ts";

const WIDTH = 960;
/** Width of the labels on the left. */
const MARGIN = 270;
const ROW = 34;
const TICK_ROOM = 24;

const COLORS: Readonly<Record<Side, string>> = { c: "#8a8f98", ours: "#1f6feb", floor: "#d29922" };
const NAMES: Readonly<Record<Side, string>> = { c: "C libqb", ours: "ours", floor: "floor" };
const ALL: readonly Side[] = ["c", "ours", "floor"];

const STYLE = `body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;padding:0 1em}
body{max-width:1000px}
table{border-collapse:collapse;margin:.5em 0 2em}td,th{padding:.15em .7em;text-align:right}
td:first-child,th:first-child{text-align:left}tr:nth-child(even){background:#8881}
svg{width:100%;height:auto}text{font:12px system-ui,sans-serif;fill:currentColor}
.grid{stroke:#8884}h3{margin:1.2em 0 0}:root{color-scheme:light dark}`;

/** A logarithmic axis from `low` to `high`, in whole decades. */
class LogAxis {
  readonly #from: number;
  readonly #to: number;

  constructor(values: readonly number[]) {
    const known = values.filter((value) => value > 0);
    this.#from = Math.floor(Math.log10(Math.min(...known, 1e9)));
    this.#to = Math.max(this.#from + 1, Math.ceil(Math.log10(Math.max(...known, 1))));
  }

  x(value: number): number {
    const part = (Math.log10(Math.max(value, 1e-9)) - this.#from) / (this.#to - this.#from);
    return MARGIN + Math.max(0, part) * (WIDTH - MARGIN - 50);
  }

  ticks(height: number, show: (value: number) => string): string {
    const decades = Array.from({ length: this.#to - this.#from + 1 }, (_, i) => this.#from + i);
    return decades
      .map((decade) => {
        const x = this.x(10 ** decade).toFixed(1);
        const line = `<line class="grid" x1="${x}" y1="0" x2="${x}" y2="${height}"/>`;
        const text = `<text x="${x}" y="${height + 16}" text-anchor="middle">`;
        return `${line}${text}${show(10 ** decade)}</text>`;
      })
      .join("");
  }
}

function svg(height: number, body: string, title: string): string {
  const box = `0 0 ${WIDTH} ${height + TICK_ROOM}`;
  return `<svg role="img" aria-label="${escapeMarkup(title)}" viewBox="${box}">${body}</svg>`;
}

function label(name: string, y: number): string {
  return `<text x="${MARGIN - 8}" y="${y}" text-anchor="end">${escapeMarkup(name)}</text>`;
}

function count(value: number): string {
  return value >= 1e6 ? `${value / 1e6}M` : value >= 1e3 ? `${value / 1e3}k` : String(value);
}

function duration(ns: number): string {
  return ns >= 1e6 ? `${ns / 1e6} ms` : ns >= 1e3 ? `${ns / 1e3} us` : `${ns} ns`;
}

function medianOf({ median }: Outcome, side: Side): Measured {
  return median[side] ?? {};
}

/** A bar per side and row: round trips per second. */
function throughput(outcomes: readonly Outcome[]): string {
  const shown = outcomes.filter(({ median }) => median.ours.perSecond !== undefined);
  const axis = new LogAxis(
    shown.flatMap((row) => ALL.map((side) => medianOf(row, side).perSecond ?? 0)),
  );
  const bars = shown.map((row, index) => {
    const y = index * ROW;
    const ofSides = ALL.map((side, at) => {
      const value = medianOf(row, side).perSecond;
      if (value === undefined) return "";
      const width = (axis.x(value) - MARGIN).toFixed(1);
      const place = `x="${MARGIN}" y="${y + 3 + at * 9}" width="${width}" height="8"`;
      const text = `${NAMES[side]}: ${Math.round(value).toLocaleString("en")}/s`;
      return `<rect ${place} fill="${COLORS[side]}"><title>${text}</title></rect>`;
    });
    return label(row.name, y + 20) + ofSides.join("");
  });
  const height = shown.length * ROW;
  return svg(height, axis.ticks(height, count) + bars.join(""), "Round trips per second");
}

const QUANTILES = ["p50", "p99", "p99.9", "max"] as const;

function quantiles({ p50, p99, p999, max }: Measured): number[] {
  return [p50, p99, p999, max].filter((each) => each !== undefined);
}

/** For each side and row, a line from the median over p99 and p99.9 to the maximum. */
function latencies(outcomes: readonly Outcome[]): string {
  const shown = outcomes.filter(({ median }) => median.ours.p50 !== undefined);
  const axis = new LogAxis(
    shown.flatMap((row) => ALL.flatMap((side) => quantiles(medianOf(row, side)))),
  );
  const lines = shown.map((row, index) => {
    const y = index * ROW;
    const ofSides = ALL.map((side, at) => {
      const values = quantiles(medianOf(row, side));
      if (values.length === 0) return "";
      const cy = y + 8 + at * 9;
      const xs = values.map((value) => axis.x(value).toFixed(1));
      const line = `<line x1="${xs[0]}" y1="${cy}" x2="${xs.at(-1)}" y2="${cy}"`;
      const dots = xs.map((x, i) => {
        const text = `${NAMES[side]} ${QUANTILES[i]}: ${duration(values[i] ?? 0)}`;
        const dot = `<circle cx="${x}" cy="${cy}" r="${4 - i * 0.7}" fill="${COLORS[side]}">`;
        return `${dot}<title>${text}</title></circle>`;
      });
      return `${line} stroke="${COLORS[side]}"/>${dots.join("")}`;
    });
    return label(row.name, y + 20) + ofSides.join("");
  });
  const height = shown.length * ROW;
  return svg(height, axis.ticks(height, duration) + lines.join(""), "Latencies");
}

const CLIENTS: Readonly<Record<string, number>> = {
  "one client, empty": 1,
  "two clients": 2,
  "four clients, empty": 4,
  "sixteen clients": 16,
  "sixty-four clients": 64,
};

/** Round trips per second over the number of clients; empty with fewer than two points. */
function overClients(outcomes: readonly Outcome[]): string {
  const shown = outcomes
    .flatMap((row) =>
      CLIENTS[row.name] === undefined ? [] : [{ row, at: CLIENTS[row.name] ?? 0 }],
    )
    .toSorted((one, other) => one.at - other.at);
  if (shown.length < 2) return "";
  const height = 260;
  const across = new LogAxis(shown.map(({ at }) => at));
  const most = Math.max(
    ...shown.flatMap(({ row }) => ALL.map((s) => medianOf(row, s).perSecond ?? 0)),
  );
  const paths = ALL.map((side) => {
    const points = shown.flatMap(({ row, at }) => {
      const value = medianOf(row, side).perSecond;
      if (value === undefined) return [];
      return [`${across.x(at).toFixed(1)},${(height * (1 - value / most / 1.05)).toFixed(1)}`];
    });
    const line = `<polyline fill="none" stroke-width="2" stroke="${COLORS[side]}"`;
    return `${line} points="${points.join(" ")}"/>`;
  });
  const marks = [0, 0.25, 0.5, 0.75, 1].map((part) => {
    const y = (height * (1 - part / 1.05)).toFixed(1);
    const text = label(`${Math.round((most * part) / 1000)}k/s`, Number(y) + 4);
    return `<line class="grid" x1="${MARGIN}" y1="${y}" x2="${WIDTH - 20}" y2="${y}"/>${text}`;
  });
  const body = marks.join("") + across.ticks(height, (at) => `${at} clients`) + paths.join("");
  return `<h2>Round trips over clients</h2>${svg(height, body, "Round trips over clients")}`;
}

function cells(tag: string, row: readonly string[]): string {
  return `<tr>${row.map((cell) => `<${tag}>${escapeMarkup(cell)}</${tag}>`).join("")}</tr>`;
}

function table(outcome: Outcome, scenarios: readonly Scenario[]): string {
  const goals = scenarios.find(({ name }) => name === outcome.name)?.goals ?? [];
  const head = ["", "C", "ours", "floor", "ours/C", "ours/floor", "goal"];
  const body = rows(outcome, goals).map((row) => cells("td", row));
  const title = `<h3>${escapeMarkup(`${outcome.group}: ${outcome.name}`)}</h3>`;
  return `${title}<table>${cells("th", head)}${body.join("")}</table>`;
}

/** The whole page. */
export function html(report: Report, scenarios: readonly Scenario[]): string {
  const machine = Object.entries(report.machine).map(
    ([key, value]) => `<li>${escapeMarkup(key)}: ${escapeMarkup(value)}</li>`,
  );
  const legend = ALL.map((side) => `<b style="color:${COLORS[side]}">${NAMES[side]}</b>`);
  const { outcomes } = report;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>pmxcfs-ipc: benchmark of ${report.taken}</title>
<style>${STYLE}</style></head><body>
<h1>Benchmark of ${report.taken}</h1>
<p>${legend.join(", ")}. The floor is a server that never sleeps and checks nothing: no server is
faster on this machine. Medians of ${runsText(outcomes)} alternated runs.</p>
<ul>${machine.join("")}</ul>
<h2>Round trips per second</h2>${throughput(outcomes)}
<h2>Latencies: p50, p99, p99.9, worst</h2>${latencies(outcomes)}
${overClients(outcomes)}
<h2>Figures</h2>${outcomes.map((outcome) => table(outcome, scenarios)).join("")}
</body></html>
`;
}
