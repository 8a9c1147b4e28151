/**
 * The configuration of corosync: its version in the tree, on the host and in the corosync that
 * runs; directories of nodes that are no members; the address pmxcfs has for this node.
 */
import { networkInterfaces } from "node:os";
import { Cmap } from "../../../corosync/cmap.ts";
import { guestPath } from "../../../pmxcfs/state/guests.ts";
import { type CorosyncConfig, parseCorosyncConf } from "../../../pmxcfs/state/corosync-conf.ts";
import type { SalvagedItem } from "../../../pmxcfs/rescue/salvage.ts";
import { type Finding, found, pass, skip } from "../finding.ts";
import { isRecord } from "../session.ts";
import type { Context, Probe } from "../probe.ts";
import { treeItems } from "./database.ts";

/** Guests named of a node that is gone. */
const GUESTS_SHOWN = 10;
/** A corosync that starts or hangs takes connections and does not answer. */
const CALL_MS = 1_000;

/** What the running corosync says of itself; undefined when it does not run or does not answer. */
interface Running {
  readonly version: number;
  readonly names: readonly string[];
}

async function running(): Promise<Running | undefined> {
  const quiet = { changed: () => {}, ended: () => {} };
  const cmap = await Cmap.connect(quiet, { connectMs: CALL_MS, callMs: CALL_MS });
  if (!(cmap instanceof Cmap)) return undefined;
  using opened = cmap;
  const version = await opened.get("totem.config_version");
  const keys = await opened.keys("nodelist.node.");
  if (typeof version === "number" || version.kind !== "integer" || !Array.isArray(keys)) {
    return undefined;
  }
  const names: string[] = [];
  for (const key of keys.filter((each) => each.endsWith(".name"))) {
    const name = await opened.get(key);
    if (typeof name !== "number" && name.kind === "string") names.push(name.value);
  }
  return { version: Number(version.value), names };
}

function parsed(text: string | undefined): CorosyncConfig | undefined {
  const config = text === undefined ? undefined : parseCorosyncConf(text);
  return typeof config === "object" ? config : undefined;
}

function treeFile(items: readonly SalvagedItem[], name: string): string | undefined {
  const item = items.find(({ path }) => path.length === 1 && path[0] === name);
  return item === undefined ? undefined : Buffer.from(item.row.data).toString("latin1");
}

/** The three numbers, and which of them is not as the others. */
function versions(tree: number | undefined, host: number | undefined, run: number | undefined) {
  const named = [
    ["/etc/pve", tree],
    ["/etc/corosync", host],
    ["the running corosync", run],
  ] as const;
  const known = named.filter(([, version]) => version !== undefined);
  const counts = Map.groupBy(known, ([, version]) => version);
  if (counts.size < 2) return undefined;
  const least = [...counts.values()].toSorted((a, b) => a.length - b.length)[0] ?? [];
  const isOdd = least.length === 1 && known.length > 2;
  const odd = isOdd ? `; ${least[0]?.[0]} differs` : "";
  return { tree: tree ?? "none", host: host ?? "none", running: run ?? "none", odd };
}

/** Node directories whose node is no member, with the guests that lie in them. */
function gone(items: readonly SalvagedItem[], members: readonly string[]): Finding[] {
  const directories = items.filter(({ path, kind }) => {
    return kind === "directory" && path.length === 2 && path[0] === "nodes";
  });
  return directories.flatMap(({ path: [, node = ""] }) => {
    if (members.includes(node)) return [];
    const guests = items.flatMap(({ path, kind }) => {
      return kind === "file" && path[1] === node ? (guestPath(path.join("/"))?.vmid ?? []) : [];
    });
    const more = guests.length > GUESTS_SHOWN ? ", ..." : "";
    const list = guests.length === 0 ? "none" : guests.slice(0, GUESTS_SHOWN).join(", ") + more;
    return [found("NODE_GONE", { node, guests: list })];
  });
}

/** The address that pmxcfs looked up at its start is on an interface of this machine. */
async function ownAddress(context: Context): Promise<Finding[]> {
  const info = await context.session.readJson("GET_CLUSTER_INFO", context.left());
  const { nodename, nodelist } = (info ?? {}) as Partial<Record<string, unknown>>;
  const own = isRecord(nodelist) && typeof nodename === "string" ? nodelist[nodename] : undefined;
  const address = isRecord(own) ? own["ip"] : undefined;
  if (typeof address !== "string" || nodename !== context.machine.hostName()) return [];
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  if (all.some((one) => one.address === address)) return [];
  return [found("NODE_ADDRESS_GONE", { address, name: nodename })];
}

export const corosyncProbe: Probe = {
  check: "cluster",
  async run(context) {
    const { machine } = context;
    const items = (await treeItems(context)) ?? [];
    const text = await machine.text(machine.paths.corosyncConf);
    const tree = parsed(treeFile(items, "corosync.conf"));
    const host = parsed(typeof text === "string" ? text : undefined);
    if (tree === undefined && host === undefined) return [];
    const run = await running();
    // The file that the package of corosync brings is no cluster.
    if (tree === undefined && run === undefined) return [];
    const differing = versions(tree?.configVersion, host?.configVersion, run?.version);
    const members = run?.names ?? (tree ?? host)?.nodes.map(({ name }) => name) ?? [];
    const findings = [
      ...(differing === undefined ? [] : [found("COROSYNC_CONF_DIFFERS", differing)]),
      ...(members.length === 0 ? [] : gone(items, members)),
      ...(await ownAddress(context)),
    ];
    if (findings.length > 0) return findings;
    if (run === undefined) return [skip("cluster", "corosync does not answer")];
    const names = `${members.length} nodes in its list`;
    return [pass("cluster", `corosync runs with config_version ${run.version}, ${names}`)];
  },
};
