/**
 * Files in the tree that nothing uses any more: temporary files whose writer has ended; the locks
 * with their holder and age; the time of the last change. Read from the copy of config.db, where
 * each entry has the node that wrote it.
 */
import { escapeText } from "../../../base/escape.ts";
import type { SalvagedItem } from "../../../pmxcfs/rescue/salvage.ts";
import { parseCorosyncConf } from "../../../pmxcfs/state/corosync-conf.ts";
import { type Finding, found, shellQuote } from "../finding.ts";
import type { Context } from "../probe.ts";
import { openNames, parseMounts, startSeconds } from "../proc.ts";

/** Age from which temporary files without a pid in their name are leftovers. */
const OLD_S = 3_600;
/** A process that started this long after the file was written has reused the pid. */
const REUSED_PID_S = 2;
const SHOWN = 5;
/** Names that fit a command line. */
const REMOVED_AT_ONCE = 500;

/** PVE's file_set_contents writes NAME.tmp.PID and renames it. */
const WITH_PID = /\.tmp\.(\d{1,10})$/;
/** Names by libfuse for open files that were removed, and by configuration management. */
const WITHOUT_PID = /^(\.fuse_hidden[0-9a-f]{16,}|\.ansible_tmp.*)$/;

/** The names of the nodes by id, and the id of this one. */
interface Nodes {
  readonly own: number;
  readonly names: ReadonlyMap<number, string>;
}

/** From the corosync.conf of the tree; without one all entries are of writer 0. */
function nodesOf(items: readonly SalvagedItem[], ownName: string): Nodes {
  const file = items.find(({ path }) => path.length === 1 && path[0] === "corosync.conf");
  const text = file === undefined ? "" : Buffer.from(file.row.data).toString("latin1");
  const parsed = text === "" ? "" : parseCorosyncConf(text);
  if (typeof parsed === "string") return { own: 0, names: new Map() };
  const names = new Map(parsed.nodes.map(({ id, name }) => [id, name]));
  return { own: parsed.nodes.find(({ name }) => name === ownName)?.id ?? 0, names };
}

/** Whether the program that wrote the entry has ended. */
function isLeft({ machine }: Context, item: SalvagedItem, nodes: Nodes, nowS: number): boolean {
  const { writer, mtime } = item.row;
  const name = item.path.at(-1) ?? "";
  const pid = Number(WITH_PID.exec(name)?.[1] ?? 0);
  const { proc } = machine.paths;
  if (pid > 0) {
    // Processes of other nodes are not visible here.
    if (writer !== nodes.own && writer !== 0) return false;
    const started = startSeconds(proc, pid);
    return started === undefined || started > mtime + REUSED_PID_S;
  }
  return WITHOUT_PID.test(name) && nowS - mtime > OLD_S;
}

function pathIn(pve: string, { path }: SalvagedItem): string {
  // Names are kept one character per byte.
  return `${pve}/${Buffer.from(path.join("/"), "latin1").toString("utf8")}`;
}

/** The command that copies exactly these files, with their paths, and removes what was copied. */
function removal(paths: readonly string[]): string {
  const words = paths.slice(0, REMOVED_AT_ONCE).map(shellQuote).join(" ");
  const copy = `mkdir -m 0700 "$d" && cp -a --parents -t "$d" -- ${words}`;
  return `(d=/root/pve-left-$(date +%Y%m%d-%H%M%S); ${copy} && rm -f -- ${words})`;
}

/** Whether a FUSE file system is mounted on /etc/pve, be its server alive or not. */
export async function isMounted({ machine }: Context): Promise<boolean> {
  const text = await machine.text(`${machine.paths.proc}/self/mountinfo`);
  const mounts = parseMounts(typeof text === "string" ? text : "");
  return mounts.some(({ point, type }) => point === machine.paths.pve && type.startsWith("fuse"));
}

function shown(list: readonly string[]): string {
  return `${list.slice(0, SHOWN).join(", ")}${list.length > SHOWN ? ", ..." : ""}`;
}

/** Temporary files whose owner has ended; none that is open here, none of other nodes. */
export async function filesLeft(
  context: Context,
  items: readonly SalvagedItem[],
): Promise<Finding[]> {
  const { machine, facts } = context;
  const { pve, proc } = machine.paths;
  const nodes = nodesOf(items, await facts.nodeName());
  const nowS = machine.now() / 1000;
  const left = items
    .filter((item) => item.kind === "file" && isLeft(context, item, nodes, nowS))
    .map((item) => pathIn(pve, item))
    .filter((path) => !path.includes("\uFFFD"));
  if (left.length === 0) return [];
  const open = openNames(proc);
  const paths = left.filter((path) => !open.has(path));
  if (paths.length === 0) return [];
  const values = { path: pve, count: paths.length, list: shown(paths), command: "" };
  const printable = paths.filter((path) => escapeText(path) === path);
  const isRemovable = printable.length > 0 && (await isMounted(context));
  const fix = isRemovable ? removal(printable) : null;
  return [found("FILES_LEFT", values, { fix })];
}

/** What pveproxy needs in the directory of its node. */
const NODE_KEYS = ["pve-ssl.key", "pve-ssl.pem"];

/** Keys of this node that PVE makes in the directory of every node. */
export async function keysMissing(
  { facts }: Context,
  items: readonly SalvagedItem[],
): Promise<Finding[]> {
  const name = await facts.nodeName();
  const present = new Set(
    items.flatMap(({ path, kind, row }) => {
      return kind === "directory" || row.data.length > 0 ? path.join("/") : [];
    }),
  );
  // Without the CA this is a tree that PVE has not set up.
  if (!present.has("pve-root-ca.pem") || !present.has(`nodes/${name}`)) return [];
  const missing = NODE_KEYS.filter((key) => !present.has(`nodes/${name}/${key}`));
  if (missing.length === 0) return [];
  return [found("NODE_KEYS_MISSING", { name, list: missing.join(", ") })];
}

function lockDirectories(items: readonly SalvagedItem[]): SalvagedItem[] {
  return items.filter(({ path, kind }) => {
    return kind === "directory" && path.length === 3 && path[0] === "priv" && path[1] === "lock";
  });
}

/** Clocks of a cluster differ by less. */
const FUTURE_LIMIT_S = 5;

/** Locks whose node is none of `ids`; writer 0 is a node without a cluster. */
export function locksOfOthers(
  { machine }: Context,
  items: readonly SalvagedItem[],
  ids: readonly number[],
): Finding[] {
  const strange = lockDirectories(items).filter(({ row: { writer } }) => {
    return writer !== 0 && !ids.includes(writer);
  });
  return strange.slice(0, SHOWN).map(({ path, row }) => {
    const age = Math.max(0, Math.round(machine.now() / 1000) - row.mtime);
    return found("LOCK_OF_GONE_NODE", { lock: path[2] ?? "", id: row.writer, age });
  });
}

/** Locks that are later than this machine's clock: their holders cannot refresh them. */
export function locksOfFuture({ machine }: Context, items: readonly SalvagedItem[]): Finding[] {
  const nowS = Math.round(machine.now() / 1000);
  const late = lockDirectories(items).filter(({ row: { mtime } }) => mtime > nowS + FUTURE_LIMIT_S);
  return late.slice(0, SHOWN).map(({ path, row: { writer: id, mtime } }) => {
    const seconds = mtime - nowS;
    return found("LOCK_FROM_FUTURE", { lock: path[2] ?? "", id, seconds, limit: FUTURE_LIMIT_S });
  });
}

/** Locks: who wrote them and how long ago. */
export async function locksHeld(
  { machine, facts }: Context,
  items: readonly SalvagedItem[],
): Promise<Finding[]> {
  const nodes = nodesOf(items, await facts.nodeName());
  const nowS = Math.round(machine.now() / 1000);
  const locks = lockDirectories(items);
  if (locks.length === 0) return [];
  const list = locks.map(({ path, row }) => {
    const holder = nodes.names.get(row.writer) ?? (row.writer === 0 ? "this node" : row.writer);
    return `${path[2]} (${holder}, ${Math.max(0, nowS - row.mtime)} s old)`;
  });
  const path = `${machine.paths.pve}/priv/lock`;
  return [found("LOCKS_HELD", { path, count: locks.length, list: shown(list) })];
}

/** The last change of the tree. */
export interface LastChange {
  /** Seconds since 1970, by the clock of the node that made it. */
  readonly modifiedS: number;
  /** Id of that node; 0 outside a cluster. */
  readonly writer: number;
}

const CHANGE_LIMIT_S = 60;

/** A last change that is still to come by this machine's clock: its own clock, or the writer's. */
export async function changeFromFuture(
  { machine, facts }: Context,
  items: readonly SalvagedItem[],
  { modifiedS, writer }: LastChange,
): Promise<Finding[]> {
  const seconds = Math.round(modifiedS - machine.now() / 1000);
  const limit = CHANGE_LIMIT_S;
  if (seconds <= limit) return [];
  const { own, names } = nodesOf(items, await facts.nodeName());
  if (own === 0 || writer === 0 || writer === own) {
    return [found("CLOCK_BACKWARDS", { what: "the last change in config.db", seconds, limit })];
  }
  const node = names.get(writer) ?? `id ${writer}`;
  return [found("CLUSTER_CLOCK_DIFFERS", { node, seconds, way: "ahead of", limit })];
}
