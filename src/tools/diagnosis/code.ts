/**
 * The shape of a code: a fault that `--check` can find, with its texts. A probe gives the code and
 * the values for its templates; the report, `explain` and docs/diagnosis.md are made from the same
 * rows. No C counterpart.
 */

/** From best to worst, in the words of PVE's upgrade checkers. */
export type Severity = "pass" | "skip" | "notice" | "warn" | "fail";

/** The checks of a report, in the order they are printed; each has one or more probes. */
export const CHECKS = {
  identity: "caller",
  listener: "listening socket",
  unit: "service and its log",
  handshake: "connecting",
  requests: "read requests",
  latency: "latency",
  permissions: "permissions of this caller",
  flow: "queues and flow control",
  memory: "shared memory",
  leftovers: "leftovers of dead servers",
  name: "node name",
  mount: "/etc/pve",
  files: "files left in /etc/pve",
  cluster: "cluster and quorum",
  database: "config.db",
  rrd: "rrdcached and graphs",
  status: "status values and cluster log",
  clients: "connected clients",
  stuck: "stuck processes",
  resources: "memory, descriptors and clock",
} as const;

export type CheckName = keyof typeof CHECKS;

/**
 * One row. `{name}` in a template is replaced by a value of the probe, `{name:is|are}` by the word
 * that fits this number.
 */
export interface Code {
  /** A few words for a list or a heading. */
  readonly title: string;
  readonly check: CheckName;
  /** The severity, unless the probe gives another (a fault that affects only the next start). */
  readonly severity: Exclude<Severity, "pass" | "skip">;
  /** The value of `{path}` on most hosts, for texts without a measurement. */
  readonly usualPath?: string;
  /** The finding in one line, with the measured value next to its limit. */
  readonly line: string;
  /** The cause, in one to three sentences. */
  readonly cause: string;
  /**
   * A shell command that removes the cause and is safe to paste as root: it keeps a copy of what it
   * deletes, has no placeholder, and ends only a process that it has identified. A test executes it
   * on the state that the code describes (test/check/fixes.test.ts).
   */
  readonly fix?: string;
  /** Steps to do by hand where no command is safe, and checks. Commands are in backticks. */
  readonly advice?: string;
  /** Error lines that this fault produces (ids of the rows in texts/). */
  readonly seen?: readonly string[];
}

/** The name of a placeholder, without its words. */
type NameOf<S extends string> = S extends `${infer Name}:${string}` ? Name : S;

/** The names between braces in a template. */
export type Placeholders<S extends string> = S extends `${string}{${infer Name}}${infer Rest}`
  ? NameOf<Name> | Placeholders<Rest>
  : never;

/** `{name:is|are}` as `is` if the value is 1, else (also without a value) as `are`. */
export function numbered(
  template: string,
  values: Readonly<Record<string, string | number>> = {},
): string {
  return template.replaceAll(
    /\{(\w+):([^|{}]*)\|([^|{}]*)\}/g,
    (_, name: string, one: string, many: string) => (values[name] === 1 ? one : many),
  );
}

/** The template of a row under this key; `never` if the row has none. */
type Template<Row, Key extends string> =
  Row extends Readonly<Record<Key, infer Text>> ? Extract<Text, string> : never;

/**
 * The values that the templates of a row need, for texts with a literal type. A text that is
 * concatenated with + has none; a test finds its placeholders without a value.
 */
export type ValueNames<Row> =
  | Placeholders<Template<Row, "line">>
  | Placeholders<Template<Row, "cause">>
  | Placeholders<Template<Row, "fix">>
  | Placeholders<Template<Row, "advice">>;
