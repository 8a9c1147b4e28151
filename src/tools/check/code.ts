/**
 * The shape of one row of the table of codes: what can be wrong, in words. Rows live in codes/;
 * probes name a row and give the values its templates ask for; report, `explain` and
 * docs/diagnosis.md are made from the same rows. No C counterpart.
 */

/** From best to worst, as PVE's upgrade checkers print them. */
export type Severity = "pass" | "skip" | "notice" | "warn" | "fail";

/** The checks of a report, in the order they are printed; each is one probe. */
export const CHECKS = {
  identity: "who asks",
  listener: "who listens",
  unit: "service and its log",
  handshake: "connecting",
  requests: "the read requests",
  latency: "latency",
  permissions: "what this caller may do",
  flow: "queues and flow control",
  memory: "shared memory",
  leftovers: "leftovers of dead servers",
  name: "node name",
  mount: "/etc/pve",
  cluster: "cluster and quorum",
  database: "config.db",
  rrd: "rrdcached and graphs",
  status: "status values and cluster log",
  clients: "connected clients",
  stuck: "stuck processes",
  resources: "memory, descriptors and clock",
} as const;

export type CheckName = keyof typeof CHECKS;

/** `{name}` in a template stands for a value the probe gives. */
export interface Code {
  /** A few words for a list or a heading. */
  readonly title: string;
  readonly check: CheckName;
  /** What it is unless the probe knows better (a fault that only bites at the next start). */
  readonly severity: Exclude<Severity, "pass" | "skip">;
  /** What `{path}` is on most machines, where nothing was measured. */
  readonly usualPath?: string;
  /** The finding in one line, with the measured value next to its limit. */
  readonly line: string;
  /** Why this happens, in a sentence or two. */
  readonly cause: string;
  /** A command to paste, or what to write where. */
  readonly fix: string;
  /** Error lines a person sees because of it (ids of src/tools/check/texts). */
  readonly seen?: readonly string[];
}

/** The names between braces in a template. */
export type Placeholders<S extends string> = S extends `${string}{${infer Name}}${infer Rest}`
  ? Name | Placeholders<Rest>
  : never;
