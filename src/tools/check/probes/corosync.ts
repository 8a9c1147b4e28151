/**
 * The configuration of corosync: its version in the tree, on the host and in every node's corosync;
 * directories of nodes that are no members; this node's address in pmxcfs; and what corosync's
 * services report about quorum, pmxcfs's groups and the links.
 */
import { counted } from "../../../base/counted.ts";
import { Errno } from "../../../base/errno.ts";
import { guestPath } from "../../../pmxcfs/state/guests.ts";
import { type CorosyncConfig, parseCorosyncConf } from "../../../pmxcfs/state/corosync-conf.ts";
import type { SalvagedItem } from "../../../pmxcfs/rescue/salvage.ts";
import { NO_HOST_FILE } from "../../diagnosis/codes/members.ts";
import { type Finding, found, pass, skip } from "../finding.ts";
import { isRecord } from "../session.ts";
import type { Context, Probe } from "../probe.ts";
import {
  askCorosync,
  type CorosyncAnswers,
  type CorosyncView,
  viewOf,
} from "../../cluster/corosync-view.ts";
import { type ConfigFiles, treeFits, versionsOf } from "../../cluster/report.ts";
import { catchUp, type ConfigVersions, difference, shownVersion } from "../../cluster/versions.ts";
import { interfaceAddresses } from "./addresses.ts";
import { treeItems } from "./database.ts";
import { locksOfFuture, locksOfOthers } from "./tree.ts";
import { linkView } from "./links.ts";
import { ghostsOf, isStalled, memberFindings, serverView } from "./members.ts";

/** Guests that are listed of a node that is gone. */
const GUESTS_SHOWN = 10;
/** A corosync that starts or hangs accepts connections and does not answer. */
const CALL_MS = 1_000;

type Configuration = Exclude<CorosyncAnswers["cmap"], string>;

const TIMES = { connectMs: CALL_MS, callMs: CALL_MS };
/** A process of a node that just left stays in its group for a moment. */
const GHOST_AGAIN_MS = 500;

/** Asks corosync; twice when a group has members whose nodes quorum does not have. */
async function asked(context: Context): Promise<CorosyncAnswers> {
  const answers = await askCorosync(TIMES);
  const view = viewOf(answers);
  if (typeof view === "string" || ghostsOf(view).size === 0) return answers;
  await Bun.sleep(Math.min(GHOST_AGAIN_MS, context.left() / 2));
  return await askCorosync(TIMES);
}

/**
 * The services that do not answer, and why; corosync answers root only. `hasFile`: this node has a
 * copy of corosync.conf.
 */
async function silence(
  { facts, machine }: Context,
  answers: CorosyncAnswers,
  hasFile: boolean,
): Promise<Finding[]> {
  const reasons = Object.values(answers).filter((answer) => typeof answer === "string");
  if (reasons.length === 0) return [];
  const list = [...new Set(reasons)].join("; ");
  const { uid } = await facts.identity();
  if (uid !== 0) return [skip("cluster", `corosync does not answer uid ${uid}: ${list}`)];
  const all = Object.keys(answers).length;
  const values = { count: reasons.length, all, list, path: machine.paths.corosyncConf };
  return [found("COROSYNC_UNREACHABLE", values, hasFile ? {} : { advice: NO_HOST_FILE })];
}

/** No quorum according to corosync, where the server does not report it itself. */
async function quorum(context: Context, view: CorosyncView): Promise<Finding[]> {
  if (view.quorate) return [];
  const info = await context.session.readJson("GET_CLUSTER_INFO", context.left());
  const cluster = info?.["cluster"];
  if (isRecord(cluster) && cluster["quorate"] !== 1) return [];
  const { partition, facts } = view;
  const values = {
    cluster: facts.clusterName,
    online: partition.length,
    nodes: facts.nodes.length,
  };
  return [found("NO_QUORUM", values)];
}

async function membersSeen(context: Context, answers: CorosyncAnswers): Promise<Finding[]> {
  const view = viewOf(answers);
  if (typeof view === "string") return [];
  const serving = (await context.facts.server()) !== undefined;
  const server = await serverView(context);
  const { findings, details } = await linkView(context, view, {
    stalled: isStalled(server),
    times: TIMES,
  });
  const members = memberFindings({ view, server, serving, links: details });
  return [...(await quorum(context, view)), ...findings, ...members];
}

function parsed(text: string | undefined): CorosyncConfig | undefined {
  const config = text === undefined ? undefined : parseCorosyncConf(text);
  return typeof config === "object" ? config : undefined;
}

function treeFile(items: readonly SalvagedItem[], name: string): string | undefined {
  const item = items.find(({ path }) => path.length === 1 && path[0] === name);
  return item === undefined ? undefined : Buffer.from(item.row.data).toString("latin1");
}

/** corosync.conf differs between this node's places, or between the nodes. */
function versionFindings(seen: Configuration | undefined, files: ConfigFiles): Finding[] {
  const { tree, host } = files;
  const versions: ConfigVersions =
    seen === undefined
      ? { tree: tree?.configVersion, host: host?.configVersion, running: undefined, nodes: [] }
      : versionsOf(seen, files);
  const differing = difference(versions);
  if (differing === undefined) return [];
  const values = {
    tree: shownVersion(versions.tree),
    host: shownVersion(versions.host),
    running: differing.running,
    odd: differing.odd,
  };
  const command = seen === undefined ? undefined : catchUp(versions, treeFits(seen, files));
  const severity = differing.onlyLeft ? "notice" : "warn";
  const extra = { severity, fix: command ?? null } as const;
  return [found("COROSYNC_CONF_DIFFERS", { ...values, command: command ?? "none" }, extra)];
}

/** Node directories whose node is no member, with the guests in them. */
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

/**
 * Whether the address that pmxcfs looked up at its start is still on an interface of this machine.
 */
async function ownAddress(context: Context): Promise<Finding[]> {
  const info = await context.session.readJson("GET_CLUSTER_INFO", context.left());
  const { nodename, nodelist } = (info ?? {}) as Partial<Record<string, unknown>>;
  const own = isRecord(nodelist) && typeof nodename === "string" ? nodelist[nodename] : undefined;
  const address = isRecord(own) ? own["ip"] : undefined;
  if (typeof address !== "string" || nodename !== (await context.facts.nodeName())) return [];
  if ((await interfaceAddresses(context)).some((one) => one.address === address)) return [];
  return [found("NODE_ADDRESS_GONE", { address, name: nodename })];
}

export const corosyncProbe: Probe = {
  check: "cluster",
  // Of a large cluster the token takes seconds for the rounds that are watched.
  operations: 4,
  async run(context) {
    const { machine } = context;
    const items = (await treeItems(context)) ?? [];
    const text = await machine.text(machine.paths.corosyncConf);
    const tree = parsed(treeFile(items, "corosync.conf"));
    const host = parsed(typeof text === "string" ? text : undefined);
    if (tree === undefined && host === undefined) return [];
    const answers = await asked(context);
    const configuration = typeof answers.cmap === "string" ? undefined : answers.cmap;
    const run = configuration?.facts;
    // The file that corosync's package installs does not make a cluster.
    if (tree === undefined && run === undefined) return [];
    const nodes = (run ?? tree ?? host)?.nodes.map(({ name }) => name) ?? [];
    const findings = [
      ...(await silence(context, answers, text !== Errno.ENOENT)),
      ...versionFindings(configuration, { tree, host }),
      ...(nodes.length === 0 ? [] : gone(items, nodes)),
      ...(run === undefined
        ? []
        : locksOfOthers(
            context,
            items,
            run.nodes.map(({ id }) => id),
          )),
      ...locksOfFuture(context, items),
      ...(await ownAddress(context)),
    ];
    const about = await membersSeen(context, answers);
    if (findings.length > 0 || run === undefined) return [...findings, ...about];
    const list = `${counted(nodes.length, "node")} in its list`;
    const line = `corosync runs with config_version ${run.configVersion}, ${list}`;
    return [pass("cluster", line), ...about];
  },
};
