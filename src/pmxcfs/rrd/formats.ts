/**
 * Maps a reported `rrd/KEY` to an RRD file, and its value to the file's columns. The formats of PVE
 * 2 and of 9.0 and later are all written to files of 9.0. C counterpart: status.c, update_rrd_data
 * and the rrd_def tables.
 */

/** A kind of RRD file. */
export interface RrdLayout {
  readonly directory: string;
  /** Number of fields before the time stamp in a reported value. */
  readonly skippedFields: number;
  readonly columns: readonly Column[];
}

interface Column {
  readonly name: string;
  /** DERIVE: a counter, which may restart; GAUGE: a value. */
  readonly type: "GAUGE" | "DERIVE";
}

/** One update of one file. */
export interface RrdUpdate {
  readonly layout: RrdLayout;
  /** Path below the base directory, latin1: `pve-vm-9.0/100`. Any byte except NUL, CR and LF. */
  readonly file: string;
  /** `time:value:value...` for rrdtool update: only numbers, `N`, `U` and `:`. */
  readonly values: string;
}

const STEP_SECONDS = 60;
const HEARTBEAT_SECONDS = 120;

/** Steps per row, and rows: a day, a month, a year, and ten years of weeks. */
const ARCHIVES = [
  [1, 1440],
  [30, 1440],
  [360, 1440],
  [10_080, 570],
] as const;

const PRESSURE_NODE =
  "pressurecpusome pressureiosome pressureiofull pressurememorysome pressurememoryfull";
const PRESSURE_VM =
  "pressurecpusome pressurecpufull pressureiosome pressureiofull pressurememorysome " +
  "pressurememoryfull";

const NODE: RrdLayout = {
  directory: "pve-node-9.0",
  skippedFields: 2,
  columns: columns(
    "loadavg maxcpu cpu iowait memtotal memused swaptotal swapused roottotal rootused " +
      `netin* netout* memavailable arcsize ${PRESSURE_NODE}`,
  ),
};

const VM: RrdLayout = {
  directory: "pve-vm-9.0",
  skippedFields: 4,
  columns: columns(
    "maxcpu cpu maxmem mem maxdisk disk netin* netout* diskread* diskwrite* memhost " + PRESSURE_VM,
  ),
};

const STORAGE: RrdLayout = {
  directory: "pve-storage-9.0",
  skippedFields: 0,
  columns: columns("total used"),
};

/**
 * Key shapes: prefix, version (any text), and the name, which C uses unchanged. The first part of a
 * storage's name (its node) may be empty or `.`; the file then lies in the layout's directory.
 */
const NAME = "[^/]+";
const SHAPES: readonly (readonly [RegExp, RrdLayout])[] = [
  [new RegExp(`^(?:pve2-node|pve-node-[^/]*)/(${NAME})$`), NODE],
  [new RegExp(`^(?:pve2\\.3-vm|pve-vm-[^/]*)/(${NAME})$`), VM],
  [new RegExp(`^(?:pve2-storage|pve-storage-[^/]*)/([^/]*/${NAME})$`), STORAGE],
];

/** A newline would start another command to rrdcached, a NUL would end the name. */
// oxlint-disable-next-line no-control-regex
const UNSAFE = /[\n\r\0]/;

/** The path below the layout's directory; undefined if it would not be a file in there. */
function fileName(name: string): string | undefined {
  const parts = name.split("/");
  const last = parts.at(-1) ?? "";
  if (UNSAFE.test(name) || last === "." || parts.includes("..")) return undefined;
  return parts.filter((part) => part !== "" && part !== ".").join("/");
}

const TIME = /^(?:N|\d{1,15}(?:\.\d{1,9})?)$/;
const NUMBER = /^[-+]?(?:\d{1,40}\.?\d{0,40}|\.\d{1,40})(?:[eE][-+]?\d{1,3})?$/;
const INTEGER = /^[-+]?\d{1,20}$/;

/**
 * The update for `value`, reported under `rrd/KEY`. "unknown": the key has no known shape, or its
 * file would be a directory or lie outside the layout's directory. "malformed": the time stamp is
 * missing. Columns that are missing or not numbers become `U` (librrd, and so C, refuses the whole
 * value); columns of later versions are dropped.
 */
export function rrdUpdate(key: string, value: string): RrdUpdate | "unknown" | "malformed" {
  for (const [shape, layout] of SHAPES) {
    const name = fileName(shape.exec(key)?.[1] ?? "..");
    if (name === undefined) continue;
    const [time = "", ...reported] = value.split(":").slice(layout.skippedFields);
    if (!TIME.test(time)) return "malformed";
    const values = layout.columns.map((column, index) => cell(column, reported[index] ?? ""));
    return { layout, file: `${layout.directory}/${name}`, values: [time, ...values].join(":") };
  }
  return "unknown";
}

/**
 * The arguments of rrdtool's create (and rrdcached's CREATE): options, data sources, archives. The
 * file takes values after `startSeconds`, unix time.
 */
export function createArguments(layout: RrdLayout, startSeconds: number): string {
  const sources = layout.columns.map(
    ({ name, type }) => `DS:${name}:${type}:${HEARTBEAT_SECONDS}:0:U`,
  );
  const archives = ["AVERAGE", "MAX"].flatMap((consolidation) =>
    ARCHIVES.map(([steps, rows]) => `RRA:${consolidation}:0.5:${steps}:${rows}`),
  );
  return [`-s ${STEP_SECONDS} -b ${startSeconds}`, ...sources, ...archives].join(" ");
}

/** The start of the day in local time, in seconds since 1970: the start of new files. */
export function dayStartSeconds(nowMs: number): number {
  return Math.floor(new Date(nowMs).setHours(0, 0, 0, 0) / 1000);
}

function cell(column: Column, text: string): string {
  const wanted = column.type === "DERIVE" ? INTEGER : NUMBER;
  return wanted.test(text) ? text : "U";
}

/** Columns by name: `name` is a GAUGE, `name*` a DERIVE. */
function columns(names: string): Column[] {
  return names
    .split(" ")
    .map((name) =>
      name.endsWith("*") ? { name: name.slice(0, -1), type: "DERIVE" } : { name, type: "GAUGE" },
    );
}
