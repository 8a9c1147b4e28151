/**
 * Alert rules for Prometheus, and a Grafana dashboard with a panel for each metric family.
 * `bun packaging/monitoring.ts` writes both to dist/monitoring.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EMPTY_REPLY, type Handler } from "../src/ipc/handler.ts";
import { Service } from "../src/ipc/service.ts";
import { metricsOf, type MetricSources } from "../src/observe/families.ts";
import { type Family, LABELS } from "../src/observe/registry.ts";
import { RequestCounters } from "../src/observe/request-counters.ts";
import { RELOAD_BOUNDS_MS } from "../src/pmxcfs/store/reloads.ts";

/** All sources, idle, so that every metric family is registered. */
const SOURCES: Required<MetricSources> = {
  versions: () => [],
  pauses: () => ({ counts: [], sum: 0 }),
  reloads: () => ({
    boundsMs: RELOAD_BOUNDS_MS,
    byTrigger: new Map(),
    failures: 0,
    loadMs: 0,
    stateOf: 0,
    behindMs: 0,
  }),
  rrd: () => ({ written: 0, rejected: 0, dropped: 0, pending: 0 }),
  mount: () => ({
    directory: "/etc/pve",
    operations: [],
    waiting: 0,
    oldestWaitMs: 0,
    nodes: 0,
    handles: 0,
  }),
  store: () => ({
    waiting: 0,
    journalBytes: 0,
    walBytes: 0,
    checkpoints: 0,
    checkpointFailures: 0,
    checkpointedAt: 0,
    commitFailures: 0,
  }),
  cluster: () => ({ quorate: true, services: {}, groups: {} }),
  history: () => ({ written: 0, waiting: 0, lostChanges: 0, lostContents: 0, failures: 0 }),
};

/** The metric families of a server, as it registers them. */
export async function metricFamilies(): Promise<readonly Family[]> {
  const handler: Handler = { authenticate: () => "read-only", handle: () => EMPTY_REPLY };
  const service = Service.start(`pmxcfs-ipc-metrics-${process.pid}`, handler);
  if (!(service instanceof Service)) throw new Error(service.message);
  const families = metricsOf(service, new RequestCounters(handler, new Map()), SOURCES).families;
  await service.stop();
  return families;
}

interface Alert {
  readonly name: string;
  readonly expr: string;
  readonly for: string;
  readonly severity: "critical" | "warning";
  /** The fault, in one line. */
  readonly summary: string;
  /** The meaning, and what to do. */
  readonly description: string;
}

const P = "pmxcfs_ipc_";

/** One client takes about 3 MiB of /dev/shm (docs/running.md). */
const SIXTEEN_CLIENTS_BYTES = 16 * 3 * 1024 * 1024;

const WAL_LIMIT_BYTES = 16 * 1024 * 1024;

export const ALERTS: readonly Alert[] = [
  {
    name: "PmxcfsIpcMountWaits",
    expr: `${P}mount_oldest_wait_seconds > 5`,
    for: "10s",
    severity: "critical",
    summary: "A change of /etc/pve has waited for the cluster for more than 5 s",
    description:
      "Another member does not answer. Processes that change /etc/pve wait for it; " +
      "pmxcfs-ipc cluster status names the member.",
  },
  {
    name: "PmxcfsIpcAbsent",
    expr: `absent(${P}build_info)`,
    for: "5m",
    severity: "critical",
    summary: "No pmxcfs-ipc reports metrics",
    description:
      "The server is not running, or not scraped. On the node: systemctl status pve-cluster " +
      "pmxcfs-ipc; pmxcfs-ipc --check.",
  },
  {
    name: "PmxcfsIpcRestarts",
    expr: `changes(${P}start_time_seconds[15m]) > 2`,
    for: "0m",
    severity: "critical",
    summary: "pmxcfs-ipc restarted more than twice in 15 minutes",
    description: "journalctl -u pve-cluster -u pmxcfs-ipc has the reason before each start.",
  },
  {
    name: "PmxcfsIpcClientsTurnedAway",
    expr: `sum by (instance, reason) (increase(${P}connections_refused_total{reason!="denied"}[10m])) > 0`,
    for: "0m",
    severity: "warning",
    summary: "Clients are refused ({{ $labels.reason }})",
    description:
      "Connections, descriptors or /dev/shm are used up: pmxcfs-ipc top shows which clients have " +
      "them; --max-connections and --shm-size (containers) raise the limits.",
  },
  {
    name: "PmxcfsIpcConnectionsNearLimit",
    expr: `${P}connections / ${P}connections_limit > 0.8`,
    for: "10m",
    severity: "warning",
    summary: "More than 80 % of the connections are in use",
    description: "pmxcfs-ipc top --sort age shows connections that are never closed.",
  },
  {
    name: "PmxcfsIpcSharedMemoryLow",
    expr: `${P}shm_free_bytes < ${SIXTEEN_CLIENTS_BYTES}`,
    for: "5m",
    severity: "warning",
    summary: "/dev/shm has room for fewer than 16 more clients",
    description:
      "Each client takes 3 MiB. pmxcfs-ipc --check --only memory,leftovers prints a command that " +
      "makes room; a container needs a larger --shm-size.",
  },
  {
    name: "PmxcfsIpcProtocolViolations",
    expr: `increase(${P}protocol_violations_total[10m]) > 0`,
    for: "0m",
    severity: "warning",
    summary: "A client broke the protocol and was disconnected",
    description: "A faulty program, or an attack. The log names its pid and command.",
  },
  {
    name: "PmxcfsIpcRequestsFail",
    expr: `sum by (instance, operation, errno) (rate(${P}request_errors_total{errno=~"EIO|ENOSPC|ENOMEM"}[5m])) > 0`,
    for: "5m",
    severity: "warning",
    summary: "{{ $labels.operation }} is answered with {{ $labels.errno }}",
    description:
      "EIO: an empty guest configuration, or a database that cannot be written. pmxcfs-ipc --check.",
  },
  {
    name: "PmxcfsIpcSlow",
    expr: `histogram_quantile(0.99, sum by (instance, le) (rate(${P}request_duration_seconds_bucket[5m]))) > 0.01`,
    for: "10m",
    severity: "warning",
    summary: "One request in a hundred takes more than 10 ms in the server",
    description:
      "pmxcfs-ipc top has the latency of each client; see also pmxcfs-ipc --check --only latency,stuck.",
  },
  {
    name: "PmxcfsIpcRequestsHeld",
    expr: `${P}flow_controlled_connections > 0`,
    for: "5m",
    severity: "warning",
    summary: "A connection has been under flow control for 5 minutes",
    description:
      "Clients do not read their answers, or the server does not answer: pmxcfs-ipc top.",
  },
  {
    name: "PmxcfsIpcChangesRefused",
    expr: `increase(${P}config_reload_failures_total[10m]) > 0`,
    for: "0m",
    severity: "warning",
    summary: "A change of the store was refused: an older state is served",
    description: "The log says which and why. pmxcfs-ipc config verify checks a config.db.",
  },
  {
    name: "PmxcfsIpcGraphsNotWritten",
    expr: `${P}rrd_values_pending > 1000 or increase(${P}rrd_values_dropped_total[10m]) > 0`,
    for: "10m",
    severity: "warning",
    summary: "RRD values wait or are dropped",
    description:
      "rrdcached hangs, or neither it nor rrdtool is available: systemctl status rrdcached.",
  },
  {
    name: "PmxcfsIpcNoQuorum",
    expr: `${P}cluster_quorate == 0`,
    for: "1m",
    severity: "critical",
    summary: "A node has no quorum: its /etc/pve is read-only",
    description:
      "Configuration cannot be changed there, guests cannot be started. `pmxcfs-ipc cluster " +
      "status` on the node says which nodes it reaches; `corosync-cfgtool -s` says which links are down.",
  },
  {
    name: "PmxcfsIpcClusterWaits",
    expr: `${P}cluster_oldest_change_seconds > 5 or ${P}cluster_missing_members > 0`,
    for: "30s",
    severity: "critical",
    summary: "Changes of /etc/pve wait for the cluster",
    description:
      "A member does not answer, and until it does no write of any node is answered. " +
      "`pmxcfs-ipc cluster status` names it and says what to do.",
  },
  {
    name: "PmxcfsIpcChangesNotWritten",
    expr: `increase(${P}store_commit_failures_total[10m]) > 0`,
    for: "0m",
    severity: "critical",
    summary: "A change of /etc/pve could not be written and was answered with EIO",
    description: "The disk below /var/lib/pve-cluster is full or fails: pmxcfs-ipc --check.",
  },
  {
    name: "PmxcfsIpcWalGrows",
    expr: `${P}store_wal_bytes > ${WAL_LIMIT_BYTES}`,
    for: "5m",
    severity: "warning",
    summary: "config.db-wal is larger than 16 MiB",
    description:
      "Another process keeps a transaction of config.db open; pmxcfs-ipc --check --only database " +
      "names it.",
  },
  {
    name: "PmxcfsIpcHistoryNotWritten",
    expr: `increase(${P}history_failures_total[1h]) > 0 or increase(${P}history_lost_total[1h]) > 0`,
    for: "0m",
    severity: "warning",
    summary: "Changes are missing in the history",
    description:
      "Its disk is full, or changes came faster than they could be written: see the log.",
  },
];

/** The alert rules as a Prometheus rule file. */
export function alertRules(): string {
  const rules = ALERTS.map((alert) =>
    [
      `      - alert: ${alert.name}`,
      `        expr: ${JSON.stringify(alert.expr)}`,
      `        for: ${alert.for}`,
      "        labels:",
      `          severity: ${alert.severity}`,
      "        annotations:",
      `          summary: ${JSON.stringify(alert.summary)}`,
      `          description: ${JSON.stringify(alert.description)}`,
    ].join("\n"),
  );
  const head = "# Alerts for pmxcfs-ipc, written by packaging/monitoring.ts.";
  return `${head}\ngroups:\n  - name: pmxcfs-ipc\n    rules:\n${rules.join("\n")}\n`;
}

const SELECTOR = '{instance=~"$instance"}';
const RANGE = "[$__rate_interval]";

interface Query {
  readonly expr: string;
  readonly legend: string;
}

/** A panel's queries: rates of counters, values of gauges, quantiles of histograms. */
function queriesOf(family: Family): Query[] {
  const { name, type } = family;
  // Grafana omits the labels that a series does not have.
  const legend = ["instance", ...LABELS].map((label) => `{{${label}}}`).join(" ");
  if (type === "gauge") return [{ expr: `${name}${SELECTOR}`, legend }];
  if (type === "counter") return [{ expr: `rate(${name}${SELECTOR}${RANGE})`, legend }];
  const buckets = `sum by (instance, le) (rate(${name}_bucket${SELECTOR}${RANGE}))`;
  return [0.5, 0.99].map((quantile) => ({
    expr: `histogram_quantile(${quantile}, ${buckets})`,
    legend: `{{instance}} p${quantile * 100}`,
  }));
}

/** Grafana's unit for a family, from the end of its name. */
function unitOf({ name, type }: Family): string {
  const base = name.replace(/_total$/, "");
  if (base.endsWith("_bytes")) return type === "counter" ? "Bps" : "bytes";
  if (name.endsWith("start_time_seconds")) return "dateTimeFromNow";
  if (base.endsWith("_seconds")) return type === "counter" ? "percentunit" : "s";
  return type === "counter" ? "ops" : "short";
}

/** Dashboard columns, and a panel's size in them. */
const COLUMNS = 24;
const WIDTH = 8;
const HEIGHT = 7;

function panel(family: Family, index: number): object {
  const perRow = COLUMNS / WIDTH;
  const scale = family.name.endsWith("start_time_seconds") ? " * 1000" : "";
  return {
    id: index + 1,
    type: "timeseries",
    title: family.help.replace(/\.$/, ""),
    description: family.name,
    datasource: { type: "prometheus", uid: "${datasource}" },
    gridPos: {
      x: (index % perRow) * WIDTH,
      y: Math.floor(index / perRow) * HEIGHT,
      w: WIDTH,
      h: HEIGHT,
    },
    fieldConfig: { defaults: { unit: unitOf(family) }, overrides: [] },
    targets: queriesOf(family).map(({ expr, legend }, at) => ({
      refId: String.fromCharCode(65 + at),
      expr: `${expr}${scale}`,
      legendFormat: legend,
    })),
  };
}

/** A Grafana dashboard with a panel for each family. */
export function dashboard(families: readonly Family[]): string {
  const variables = [
    { name: "datasource", type: "datasource", query: "prometheus", label: "Data source" },
    {
      name: "instance",
      type: "query",
      label: "Instance",
      datasource: { type: "prometheus", uid: "${datasource}" },
      query: { query: `label_values(${P}build_info, instance)`, refId: "instances" },
      includeAll: true,
      multi: true,
      current: { text: "All", value: "$__all" },
      refresh: 2,
    },
  ];
  const board = {
    uid: "pmxcfs-ipc",
    title: "pmxcfs-ipc",
    tags: ["pmxcfs-ipc", "proxmox"],
    schemaVersion: 39,
    editable: true,
    refresh: "30s",
    time: { from: "now-6h", to: "now" },
    templating: { list: variables },
    panels: families.map(panel),
  };
  return `${JSON.stringify(board, undefined, 2)}\n`;
}

async function main(): Promise<void> {
  const directory = join(import.meta.dir, "../dist/monitoring");
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "prometheus-alerts.yml"), alertRules());
  writeFileSync(join(directory, "grafana-dashboard.json"), dashboard(await metricFamilies()));
}

if (import.meta.main) await main();
