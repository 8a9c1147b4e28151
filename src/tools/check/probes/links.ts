/**
 * Messages of corosync that get lost between the nodes, by its own counters: read once, and again
 * a second or more later when a synchronisation does not end, when the first reading is bad, or
 * when a node with a link that is up is not in the membership.
 */
import { counted } from "../../../base/counted.ts";
import { networkInterfaces } from "node:os";
import type { ServiceOptions } from "../../../corosync/service.ts";
import { askCorosync, type CorosyncView, viewOf } from "../../cluster/corosync-view.ts";
import {
  type LinkFigures,
  LinkStatistics,
  type Statistics,
} from "../../cluster/link-statistics.ts";
import {
  isLossy,
  type Losses,
  lossesBetween,
  narrowLinks,
  nodesApart,
  RESENT_LIMIT,
  RESENT_SUSPECT,
} from "../../cluster/losses.ts";
import { nodeName } from "../../cluster/report.ts";
import { type Finding, found } from "../finding.ts";
import type { Context } from "../probe.ts";

/** Between the two readings, at least. */
const SAMPLE_MS = 1_000;
/**
 * The same while a node with a link that is up is not in the membership: each attempt to form one
 * takes a token timeout (default 3 s) and is a message at least.
 */
const SPLIT_SAMPLE_MS = 3_000;
/** Rounds of the token between the two readings, at least: a missed message is sent in each. */
const ROUNDS = 2.5;

type Times = Required<Pick<ServiceOptions, "connectMs" | "callMs">>;

/** What is known of lost messages. */
export interface LinkView {
  readonly findings: readonly Finding[];
  /** Counters and links in words, for a synchronisation that does not end. */
  readonly details: readonly string[];
}

/** MTUs of the interfaces that have this node's addresses of corosync, by link. */
async function interfaceMtus(
  { machine }: Context,
  addresses: readonly string[],
): Promise<Map<number, number>> {
  const mtus = new Map<number, number>();
  for (const [name, list] of Object.entries(networkInterfaces())) {
    const link = addresses.findIndex((address) => list?.some((one) => one.address === address));
    const text = link < 0 ? "" : await machine.text(`/sys/class/net/${name}/mtu`);
    if (typeof text === "string" && Number(text) > 0) mtus.set(link, Number(text));
  }
  return mtus;
}

/** Links that carry too little in both readings: knet starts with little on one that comes up. */
function narrowFindings(
  readings: readonly Statistics[],
  mtus: ReadonlyMap<number, number>,
  view: CorosyncView,
): Finding[] {
  const [first = [], second = []] = readings.map((one) => narrowLinks(one, mtus));
  const lasting = second.filter(({ node, link }) => {
    return first.some((before) => before.node === node && before.link === link);
  });
  return lasting.map(({ node, link, mtu, usual }) => {
    return found("LINK_MTU_SMALL", { node: nodeName(view.facts, node), link, mtu, usual });
  });
}

function evidence({ resent, sent, seconds, pieces, tokens }: Losses): string {
  const within = `within ${seconds.toFixed(1)} s`;
  const passes = `while the token came ${counted(tokens, "time")} and no link is down`;
  if (resent >= RESENT_LIMIT)
    return `${resent} messages sent again and ${counted(sent, "new one")} ${within}, ${passes}`;
  return `${pieces} pieces of messages came ${within} and no whole message, ${passes}`;
}

/** Nodes that are apart in both readings, and are still not in this node's membership. */
async function apartFindings(
  readings: readonly [Statistics, Statistics],
  view: CorosyncView,
  { seconds, tokensLost }: Losses,
  times: Times,
): Promise<Finding[]> {
  if (nodesApart(...readings, view.partition).length === 0) return [];
  // A membership that was being formed at the first reading is complete by now.
  const now = viewOf(await askCorosync(times));
  if (typeof now === "string") return [];
  const apart = nodesApart(...readings, now.partition);
  if (apart.length === 0) return [];
  const names = apart.map((id) => nodeName(view.facts, id)).join(", ");
  const it = apart.length === 1 ? "it is" : "they are";
  const its = apart.length === 1 ? "its" : "their";
  const text =
    `the links to ${names} are up and ${its} corosync is heard, but ${it} not in this node's ` +
    `membership; within ${seconds.toFixed(1)} s the token was lost ${counted(tokensLost, "time")}`;
  return [found("LARGE_MESSAGES_LOST", { evidence: text })];
}

function lossFindings(losses: Losses, second: Statistics): Finding[] {
  if (losses.large) return [found("LARGE_MESSAGES_LOST", { evidence: evidence(losses) })];
  if (!isLossy(losses)) return [];
  const seconds = losses.seconds.toFixed(1);
  const values = { count: losses.resent, seconds, limit: RESENT_LIMIT, total: second.ring.resent };
  return [found("MESSAGES_RESENT", values)];
}

function linkLine(
  { node, link, connected, mtu, downCount, sendErrors }: LinkFigures,
  name: string,
) {
  const state = connected ? "up" : "down";
  return (
    `link ${link} to ${name} (id ${node}): ${state}, was down ${counted(downCount, "time")}, ` +
    `MTU ${mtu} bytes, ${counted(sendErrors, "send error")}`
  );
}

function detailsOf(losses: Losses, second: Statistics, view: CorosyncView): string[] {
  const { resent, pieces, received, tokens, seconds } = losses;
  return [
    `corosync within ${seconds.toFixed(1)} s: ${counted(resent, "message")} sent again, ` +
      `${counted(received, "whole message")} and ${counted(pieces, "piece")} came, ` +
      `${counted(tokens, "round")} of the token`,
    `corosync since its start: ${counted(second.ring.resent, "message")} sent again of ` +
      `${second.ring.sent}, ` +
      `token lost ${counted(second.ring.tokensLost, "time")}`,
    ...second.links.map((figures) => linkLine(figures, nodeName(view.facts, figures.node))),
  ];
}

/** Reads the counters and judges them. `stalled`: a synchronisation does not end. */
export async function linkView(
  context: Context,
  view: CorosyncView,
  { stalled, times }: { readonly stalled: boolean; readonly times: Times },
): Promise<LinkView> {
  const nothing = { findings: [], details: [] };
  const others = view.facts.nodes.map(({ id }) => id).filter((id) => id !== view.nodeid);
  using statistics = await LinkStatistics.connect(others, times);
  if (statistics === undefined) return nothing;
  const first = await statistics.read();
  if (first === undefined) return nothing;
  const own = view.running.find(({ id }) => id === view.nodeid)?.addresses ?? [];
  const mtus = await interfaceMtus(context, own);
  const isSplit = first.links.some(
    ({ node, connected }) => connected && !view.partition.includes(node),
  );
  const isBad = first.ring.resent >= RESENT_SUSPECT || narrowLinks(first, mtus).length > 0;
  if (!stalled && !isBad && !isSplit) return nothing;
  const sampleMs = Math.max(isSplit ? SPLIT_SAMPLE_MS : SAMPLE_MS, ROUNDS * view.holdMs);
  await Bun.sleep(Math.min(sampleMs, context.left() / 2));
  const second = await statistics.read();
  if (second === undefined) return nothing;
  const losses = lossesBetween(first, second);
  const apart = isSplit ? await apartFindings([first, second], view, losses, times) : [];
  const lost = apart.length > 0 ? apart : lossFindings(losses, second);
  return {
    findings: [...lost, ...narrowFindings([first, second], mtus, view)],
    details: detailsOf(losses, second, view),
  };
}
