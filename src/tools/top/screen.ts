/** The view as text: a head, with lines for the cluster, and a table 80 columns wide. Pure. */
import { escapeText } from "../../base/escape.ts";
import { type ConnectionView, sorted, type SortName, SORTS, type View } from "./view.ts";

/** Emphasis of texts; each returns its text unchanged without colour. */
export interface Look {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  yellow(text: string): string;
}

export interface ScreenOptions {
  readonly columns: number;
  /** Height of the terminal, the limit of lines; undefined shows every connection. */
  readonly rows: number | undefined;
  readonly sort: SortName;
  readonly reverse: boolean;
  readonly look: Look;
}

/** Size of a terminal that does not report its own, such as a serial console: it has 0 by 0. */
const USUAL_SIZE = { columns: 80, rows: 24 };

/** `size`, or the usual one where a terminal reports 0. */
export function sizeOf({ columns, rows }: Pick<ScreenOptions, "columns" | "rows">) {
  return { columns: columns || USUAL_SIZE.columns, rows: rows === 0 ? USUAL_SIZE.rows : rows };
}

const UNITS = ["", "K", "M", "G", "T", "P"];

/** At most five characters: `12345`, `123K`, `1.2M`. */
export function short(value: number, step = 1000): string {
  if (value < 100_000 && step === 1000) {
    return Number.isInteger(value) || value >= 1000 ? String(Math.round(value)) : value.toFixed(1);
  }
  let unit = 0;
  let scaled = value;
  while (scaled >= step && unit < UNITS.length - 1) {
    scaled /= step;
    unit++;
  }
  const digits = unit > 0 && scaled < 10 ? 1 : 0;
  return `${scaled.toFixed(digits)}${UNITS[unit] ?? ""}`;
}

/** The two largest units: `5s`, `3m20s`, `2h05m`, `4d03h`. */
export function age(seconds: number): string {
  const parts: readonly (readonly [string, number])[] = [
    ["d", 86_400],
    ["h", 3600],
    ["m", 60],
    ["s", 1],
  ];
  const from = parts.findIndex(([, size]) => seconds >= size);
  if (from === -1) return "0s";
  const [first, second] = parts.slice(from);
  if (first === undefined || second === undefined) return `${seconds}s`;
  const rest = Math.floor((seconds % first[1]) / second[1]);
  return `${Math.floor(seconds / first[1])}${first[0]}${String(rest).padStart(2, "0")}${second[0]}`;
}

/** At most five characters: `0.6us`, `850us`, `1.2ms`, `340ms`, `12s`; `-` for none. */
export function duration(us: number | null): string {
  if (us === null) return "-";
  const step = ([scale, unit]: readonly [number, string]) => {
    const value = us / scale;
    return `${value < 9.95 ? value.toFixed(1) : Math.round(value)}${unit}`;
  };
  if (us < 999.5) return step([1, "us"]);
  return us < 999_500 ? step([1e3, "ms"]) : step([1e6, "s"]);
}

interface Column {
  readonly title: string;
  readonly width: number;
  readonly left?: boolean;
  readonly text: (each: ConnectionView) => string;
}

/** 79 characters with eleven gaps: some terminals wrap after the last column. */
const COLUMNS: readonly Column[] = [
  { title: "PID", width: 7, text: ({ pid }) => String(pid) },
  { title: "COMMAND", width: 13, left: true, text: ({ command }) => command },
  { title: "UID", width: 6, text: ({ uid }) => String(uid) },
  { title: "GID", width: 6, text: ({ gid }) => String(gid) },
  { title: "RW", width: 2, text: (each) => (each.permissions === "read-write" ? "rw" : "ro") },
  { title: "REQ/S", width: 6, text: (each) => short(each.requests_per_second) },
  { title: "P99", width: 6, text: (each) => duration(each.p99_us) },
  { title: "ERRS", width: 5, text: ({ errors }) => short(errors) },
  { title: "Q", width: 2, text: ({ queued }) => String(queued) },
  {
    title: "FC",
    width: 2,
    text: (each) => (each.flow_control === 0 ? "-" : `${each.flow_control}`),
  },
  { title: "BYTES", width: 6, text: ({ bytes }) => short(bytes, 1024) },
  { title: "AGE", width: 7, text: (each) => age(each.age_seconds) },
];

/** A text cut to the column's width ends in `+`. */
function cell(text: string, { width, left }: Column): string {
  const fitted = text.length > width ? `${text.slice(0, width - 1)}+` : text;
  return left === true ? fitted.padEnd(width) : fitted.padStart(width);
}

function tableRow(text: (column: Column) => string): string {
  return COLUMNS.map((column) => cell(text(column), column)).join(" ");
}

function refusals(view: View): string {
  const kinds = Object.entries(view.refused).filter(([, count]) => count > 0);
  const total = kinds.reduce((sum, [, count]) => sum + count, 0);
  const which = kinds.map(([kind, count]) => `${kind} ${short(count)}`).join(", ");
  return `refused ${short(total)}${which === "" ? "" : ` (${which})`}`;
}

/**
 * `cluster quorate, dcdb synced 3/3, status synced 3/3, 0 changes wait`, and after the first change
 * `changes 1204, p50 1.1ms, p99 4.2ms, longest 32ms`.
 */
function clusterLines({ cluster }: Pick<View, "cluster">): string[] {
  if (cluster === undefined) return [];
  const groups = Object.entries(cluster.groups).map(
    ([name, { mode, synced, members }]) => `${name} ${mode} ${synced}/${members}`,
  );
  const waiting = cluster.groups["dcdb"]?.waiting ?? 0;
  const quorum = cluster.quorate ? "quorate" : "NO QUORUM";
  const line = `cluster ${[quorum, ...groups, `${waiting} changes wait`].join(", ")}`;
  const { changes, changeTimes } = cluster.groups["dcdb"] ?? {};
  if (changes === undefined || changes === 0 || changeTimes === undefined) return [line];
  const [p50, p99, longest] = [changeTimes.p50Ns, changeTimes.p99Ns, changeTimes.maxNs].map((ns) =>
    duration(ns / 1000),
  );
  const times = `p50 ${p50}, p99 ${p99}, longest ${longest}`;
  return [line, `changes ${short(changes)}, ${times}`];
}

/** Three lines: name and connections; traffic; failures, ready rings and the mount. */
function head(view: View): readonly [string, string, string] {
  const { totals } = view;
  const up = age(Math.round((view.now_ms - view.started_ms) / 1000));
  const room = `${view.connections.length} of ${view.connections_limit} connections`;
  const perSecond = `${short(totals.requests_per_second)} requests/s`;
  const errors = `${short(totals.errors_per_second)} errors/s`;
  const bytes = (count: number) => short(count, 1024);
  const { mount } = view;
  const operations = `${short(view.mount_operations_per_second)} operations/s`;
  const waiting = mount !== null && mount.waiting > 0 ? `, ${mount.waiting} wait` : "";
  const mounted = mount === null ? "" : `  ${mount.directory} ${operations}${waiting}`;
  return [
    `${view.service}  pid ${view.pid}  version ${view.version}  up ${up}  ${room}`,
    `${perSecond}, ${errors}  in all ${short(totals.requests)} requests, ` +
      `bytes ${bytes(totals.request_bytes)} in, ${bytes(totals.response_bytes)} out`,
    `${refusals(view)}  violations ${short(view.violations)}  ` +
      `closed ${short(view.closed_connections)}  handshakes ${view.handshakes}  ` +
      `rings ready ${view.pooled_rings}${mounted}`,
  ];
}

/** The keys, in one line of less than 80 characters. */
const KEYS = `${Object.values(SORTS)
  .map(({ label }) => label)
  .join(" ")} (R)ev (q)uit`;

function highlighted(line: string, each: ConnectionView, look: Look): string {
  if (each.flow_control !== 0) return look.red(line);
  return each.errors_per_second > 0 ? look.yellow(line) : line;
}

/** The lines, without line ends, that fit the screen in width and number. */
export function screen(view: View, options: ScreenOptions): string[] {
  const { look, sort, reverse } = options;
  const { columns, rows } = sizeOf(options);
  // The status comes from the server, and a command's name from its process.
  const cut = (line: string) => escapeText(line).slice(0, columns);
  const [name, traffic, faults] = head(view).map(cut);
  const above = [
    look.bold(name ?? ""),
    traffic ?? "",
    faults ?? "",
    ...clusterLines(view).map(cut),
    "",
  ];
  const titles = look.bold(cut(tableRow(({ title }) => title)));
  const room = rows === undefined ? Infinity : Math.max(0, rows - above.length - 2);
  const all = sorted(view, sort, reverse);
  const more = all.length > room ? all.length - Math.max(0, room - 1) : 0;
  const shown = more > 0 ? all.slice(0, Math.max(0, room - 1)) : all;
  const lines = shown.map((each) => {
    return highlighted(cut(tableRow((column) => column.text(each))), each, look);
  });
  if (more > 0 && room > 0) lines.push(look.dim(cut(`... and ${more} more`)));
  const whole = [...above, titles, ...lines];
  if (rows === undefined) return whole;
  const filled = [
    ...whole,
    ...Array.from({ length: Math.max(0, rows - 1 - whole.length) }, () => ""),
  ];
  return [...filled.slice(0, rows - 1), look.dim(cut(KEYS))];
}
