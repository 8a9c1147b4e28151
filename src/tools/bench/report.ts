/** Results of a load as text with a small plot, and as JSON. */
import { errnoName } from "../../base/errno.ts";
import type { LoadResult } from "./load.ts";

const PLOT_COLUMNS = 40;
/** Plot rows per power of two. */
const ROWS_PER_POWER = 2;
const MIB = 1024 * 1024;

/** 12345 ns as `12.3 us`. */
function showTime(ns: number): string {
  if (ns < 1000) return `${Math.round(ns)} ns`;
  if (ns < 1e6) return `${(ns / 1e3).toPrecision(3)} us`;
  if (ns < 1e9) return `${(ns / 1e6).toPrecision(3)} ms`;
  return `${(ns / 1e9).toPrecision(3)} s`;
}

/** Figures of one service. */
export function figures(result: LoadResult): Record<string, number | string | undefined> {
  const { latencies, elapsedMs, serverCpuMs } = result;
  const requests = latencies.total;
  return {
    socket: result.socket,
    server_pid: result.serverPid,
    requests,
    errors: result.errors,
    last_error: result.lastError === 0 ? undefined : errnoName(result.lastError),
    seconds: elapsedMs / 1000,
    per_second: Math.round(perSecond(result)),
    min_ns: latencies.min,
    p50_ns: latencies.quantile(0.5),
    p90_ns: latencies.quantile(0.9),
    p99_ns: latencies.quantile(0.99),
    p999_ns: latencies.quantile(0.999),
    max_ns: latencies.max,
    server_cpu_seconds: serverCpuMs === undefined ? undefined : serverCpuMs / 1000,
    server_rss_bytes: result.serverRssBytes,
    server_peak_bytes: result.serverPeakBytes,
    client_cpu_seconds: result.clientCpuMs / 1000,
  };
}

/** A bar for each half power of two that holds at least a ten-thousandth of all values. */
function plot({ latencies }: LoadResult): string {
  if (latencies.total === 0) return "";
  const rows: { label: string; count: number }[] = [];
  const first = Math.floor(Math.log2(Math.max(1, latencies.min)) * ROWS_PER_POWER);
  const last = Math.ceil(Math.log2(Math.max(2, latencies.quantile(0.9999))) * ROWS_PER_POWER);
  for (let row = first; row < last; row++) {
    const [from, to] = [2 ** (row / ROWS_PER_POWER), 2 ** ((row + 1) / ROWS_PER_POWER)];
    rows.push({ label: showTime(to), count: latencies.between(from, to) });
  }
  const most = Math.max(1, ...rows.map(({ count }) => count));
  return rows
    .filter(({ count }) => count >= latencies.total / 10_000)
    .map(({ label, count }) => {
      const bar = "#".repeat(Math.ceil((count / most) * PLOT_COLUMNS)).padEnd(PLOT_COLUMNS);
      return `  ${label.padStart(8)} |${bar}| ${((100 * count) / latencies.total).toFixed(2)} %\n`;
    })
    .join("");
}

/** One service's figures for people. */
export function text(result: LoadResult): string {
  const { latencies, elapsedMs, serverCpuMs, serverRssBytes, serverPeakBytes } = result;
  const at = (part: number) => showTime(latencies.quantile(part));
  const rate = Math.round(perSecond(result)).toLocaleString("en");
  const lines = [
    `${result.socket} (pid ${result.serverPid})`,
    `  throughput  ${rate}/s (${latencies.total.toLocaleString("en")} in ${(elapsedMs / 1000).toFixed(1)} s)`,
    `  latency     p50 ${at(0.5)}, p99 ${at(0.99)}, p99.9 ${at(0.999)}, max ${showTime(latencies.max)}`,
  ];
  if (serverCpuMs !== undefined && latencies.total > 0) {
    const each = (serverCpuMs / latencies.total) * 100;
    const share = Math.round((serverCpuMs / Math.max(elapsedMs, 1)) * 100);
    lines.push(`  server CPU  ${each.toFixed(2)} s per 100,000 requests, ${share} % of one CPU`);
  }
  if (serverRssBytes !== undefined && serverPeakBytes !== undefined) {
    const [now, most] = [serverRssBytes / MIB, serverPeakBytes / MIB];
    lines.push(`  server RSS  ${now.toFixed(1)} MiB, ${most.toFixed(1)} MiB at most`);
  }
  if (result.errors > 0) {
    lines.push(`  errors      ${result.errors}, the last ${errnoName(result.lastError)}`);
  }
  return `${lines.join("\n")}\n${plot(result)}`;
}

function perSecond({ latencies, elapsedMs }: LoadResult): number {
  return (latencies.total / Math.max(elapsedMs, 1)) * 1000;
}

function cpuEach({ latencies, serverCpuMs = 0 }: LoadResult): number {
  return serverCpuMs / Math.max(latencies.total, 1);
}

/** Rounded to three decimals; null if there is nothing to compare with. */
function ratio(one: number, other: number): number | null {
  return other === 0 ? null : Math.round((one / other) * 1000) / 1000;
}

/** The ratios of the first service's figures to the second's. */
export function ratios(first: LoadResult, second: LoadResult): Record<string, number | null> {
  const at = (part: number) =>
    ratio(first.latencies.quantile(part), second.latencies.quantile(part));
  return {
    throughput: ratio(perSecond(first), perSecond(second)),
    p50: at(0.5),
    p99: at(0.99),
    p999: at(0.999),
    server_cpu_per_request: ratio(cpuEach(first), cpuEach(second)),
  };
}

/** The second result as multiples of the first, in one line. */
export function ratiosText(first: LoadResult, second: LoadResult): string {
  const parts = Object.entries(ratios(first, second)).map(([name, value]) => {
    return `${name.replaceAll("_", " ")} ${value === null ? "unknown" : `x${value}`}`;
  });
  return `${first.socket} to ${second.socket}: ${parts.join(", ")}\n`;
}
