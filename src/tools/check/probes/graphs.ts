/**
 * The graph data that the server has (GET_RRD_DUMP): its age, its format, and the clocks of the
 * nodes that sent it.
 */
import { counted } from "../../../base/counted.ts";
import { type Finding, found, pass, skip } from "../finding.ts";
import type { Context, Probe } from "../probe.ts";
import { isRecord } from "../session.ts";

/** pvestatd sends every 10 s. */
const AGE_LIMIT_S = 120;
/** The server forgets a value after this. */
const KEPT_S = 300;
const FUTURE_LIMIT_S = 60;
const KEYS_SHOWN = 4;
const NODES_SHOWN = 4;

interface Entry {
  readonly key: string;
  /** Seconds since 1970; undefined if the value has none: any program can send values. */
  readonly time: number | undefined;
}

/** An entry with a time. */
type Timed = Entry & { readonly time: number };

/** Fields before the time stamp, by the kind of key (status.c; docs/operations.md). */
function fieldsBefore(key: string): number | undefined {
  if (/^pve2?-node/.test(key)) return 2;
  if (/^pve(2\.3)?-vm/.test(key)) return 4;
  return /^pve2?-storage/.test(key) ? 0 : undefined;
}

function parseDump(body: Buffer): Entry[] {
  const text = body.toString("latin1").replace(/\0.*$/s, "");
  return text.split("\n").flatMap((line) => {
    const [key = "", ...fields] = line.split(":");
    const before = fieldsBefore(key);
    if (before === undefined) return [];
    const field = fields[before] ?? "";
    return { key, time: /^\d{1,12}$/.test(field) ? Number(field) : undefined };
  });
}

/** The node that sent a value: `pve-node-9.0/NODE`, `pve-storage-9.0/NODE/ID`; guests have none. */
function nodeOf({ key }: Entry): string | undefined {
  const [kind = "", node] = key.split("/");
  return kind.includes("-vm") ? undefined : node;
}

function oldFormat(entries: readonly Entry[]): Finding[] {
  const old = entries.filter(({ key }) => key.startsWith("pve2"));
  if (old.length === 0) return [];
  const list = old
    .slice(0, KEYS_SHOWN)
    .map(({ key }) => key)
    .join(", ");
  return [found("RRD_OLD_FORMAT", { count: old.length, total: entries.length, list })];
}

/** The age of the newest of these; `of`: whose they are. */
function age({ machine }: Context, entries: readonly Timed[], of: string): Finding {
  const newest = Math.max(...entries.map(({ time }) => time));
  const seconds = Math.round(machine.now() / 1000 - newest);
  const measures = [
    { name: "graph_data_age_seconds", value: seconds, unit: "s", limit: AGE_LIMIT_S },
  ] as const;
  const what = `graph data${of}`;
  if (seconds < -FUTURE_LIMIT_S) {
    const values = { what: `the newest ${what}`, seconds: -seconds, limit: FUTURE_LIMIT_S };
    return found("CLOCK_BACKWARDS", values);
  }
  if (seconds >= AGE_LIMIT_S) {
    return found("RRD_STALE", { what, seconds, limit: AGE_LIMIT_S }, { measures });
  }
  const line = `${counted(entries.length, "graph key")}${of}, the newest is ${seconds} s old`;
  return pass("rrd", `${line} (limit ${AGE_LIMIT_S} s)`, measures);
}

/** This node in a cluster; undefined for a single node, to which all values belong. */
async function ownName({ session, left }: Context): Promise<string | undefined> {
  const info = await session.readJson("GET_CLUSTER_INFO", left());
  const { nodename, cluster } = (info ?? {}) as Partial<Record<string, unknown>>;
  return isRecord(cluster) && typeof nodename === "string" ? nodename : undefined;
}

/** Other nodes send values and this one does not: since when the server would have some. */
async function silent({ session, machine, left }: Context): Promise<Finding> {
  const started = (await session.readJson("GET_FS_VERSION", left()))?.["starttime"];
  const upS = typeof started === "number" ? Math.round(machine.now() / 1000 - started) : 0;
  if (upS < AGE_LIMIT_S) return skip("rrd", "no graph data of this node yet");
  const values = { what: "graph data of this node", limit: AGE_LIMIT_S };
  return found("RRD_STALE", { ...values, seconds: `over ${Math.min(upS, KEPT_S)}` });
}

/**
 * Other nodes whose values have later times than this machine's clock. A server of ours measures
 * the clocks of the members, which the check of the cluster reports.
 */
async function clocksAhead(context: Context, others: readonly Timed[]): Promise<Finding[]> {
  if ((await context.facts.serverKind()) === "pmxcfs-ipc") return [];
  const nowS = context.machine.now() / 1000;
  const newest = new Map<string, number>();
  for (const entry of others) {
    const node = nodeOf(entry);
    if (node !== undefined) newest.set(node, Math.max(entry.time, newest.get(node) ?? 0));
  }
  const ahead = [...newest].filter(([, time]) => time - nowS > FUTURE_LIMIT_S);
  return ahead.slice(0, NODES_SHOWN).map(([node, time]) => {
    const values = { node, seconds: Math.round(time - nowS), way: "ahead of" };
    return found("CLUSTER_CLOCK_DIFFERS", { ...values, limit: FUTURE_LIMIT_S });
  });
}

/** In a cluster, the values of this node are judged, because their times are of its own clock. */
async function judge(context: Context, entries: readonly Timed[]): Promise<Finding[]> {
  if (entries.length === 0) return [skip("rrd", "the graph data has no times")];
  const name = await ownName(context);
  if (name === undefined) return [age(context, entries, "")];
  const own = entries.filter((entry) => nodeOf(entry) === name);
  const first = own.length > 0 ? age(context, own, " of this node") : await silent(context);
  const others = entries.filter((entry) => !own.includes(entry));
  return [first, ...(await clocksAhead(context, others))];
}

export const graphDataProbe: Probe = {
  check: "rrd",
  async run(context) {
    const dump = await context.session.readBody("GET_RRD_DUMP", context.left());
    if (dump === undefined) return [];
    const entries = parseDump(dump);
    if (entries.length === 0) return [skip("rrd", "no graph data is sent (pvestatd)")];
    const timed = entries.flatMap(({ key, time }) => (time === undefined ? [] : { key, time }));
    return [...(await judge(context, timed)), ...oldFormat(entries)];
  },
};
