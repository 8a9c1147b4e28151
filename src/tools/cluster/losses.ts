/**
 * Computes from two readings of corosync's counters, about a second apart, whether messages are
 * lost, and whether the loss depends on their size. Pure.
 */
import type { LinkFigures, RingFigures, Statistics } from "./link-statistics.ts";

/**
 * Messages sent again since corosync's start, from which a second reading is made. A node that
 * misses a message requests it at each round of the token, 2 to 5 times a second, so a lasting loss
 * exceeds this within a minute; the start of a node or a link failure costs a few.
 */
export const RESENT_SUSPECT = 100;
/** Messages sent again between two readings, from which a loss counts as going on. */
export const RESENT_LIMIT = 2;
/** Packets without a whole message that prove a loss: fewer can be a message under way. */
const PIECES_LIMIT = 3;
/** Difference of MTUs that is ignored: knet's search stops within one block of the cipher. */
const MTU_NOISE_BYTES = 32;
/** Headers of a packet: IPv6 and UDP 48, knet 26, IV and padding of the cipher 32, SHA-512 64. */
const OVERHEAD_BYTES = 170;

export interface Losses {
  readonly seconds: number;
  /** New messages of this node, and messages that it sent again. */
  readonly sent: number;
  readonly resent: number;
  /** Packets with data, less those that make up whole messages. */
  readonly pieces: number;
  /** Whole messages of other nodes. */
  readonly received: number;
  readonly tokens: number;
  readonly tokensLost: number;
  /** Large messages are lost repeatedly while links are up and the token arrives. */
  readonly large: boolean;
}

/** The counters between two readings. */
export function lossesBetween(first: Statistics, second: Statistics): Losses {
  const increase = (key: keyof RingFigures): number => second.ring[key] - first.ring[key];
  const sent = increase("sent");
  const resent = increase("resent");
  // corosync delivers this node's own messages to it too, and counts them as received.
  const received = increase("received") - sent - resent;
  const packets = second.links.reduce((sum, { node, link, packets: now }) => {
    const before = first.links.find(
      (figures) => figures.node === node && figures.link === link,
    )?.packets;
    return sum + now - (before ?? now);
  }, 0);
  const pieces = packets - increase("tokens") - increase("control") - received;
  const up = [...first.links, ...second.links].every(({ connected }) => connected);
  const smallPasses = up && increase("tokens") > 0 && increase("tokensLost") === 0;
  // More sent again than new: a loss of every size would affect the token too.
  const isSender = resent >= RESENT_LIMIT && resent > sent;
  // The last packet of a large message is short and arrives; the message stays incomplete.
  const isReceiver = pieces >= PIECES_LIMIT && received <= 0;
  return {
    seconds: (second.atMs - first.atMs) / 1000,
    sent,
    resent,
    pieces: Math.max(0, pieces),
    received: Math.max(0, received),
    tokens: increase("tokens"),
    tokensLost: increase("tokensLost"),
    large: smallPasses && (isSender || isReceiver),
  };
}

/** True if messages of any size were sent again between the readings. */
export function isLossy({ resent }: Losses): boolean {
  return resent >= RESENT_LIMIT;
}

function isUpThroughout(first: Statistics, { node, link, connected, downCount }: LinkFigures) {
  const before = first.links.find((one) => one.node === node && one.link === link);
  return connected && before?.connected === true && before.downCount === downCount;
}

/**
 * Nodes that are not in `partition` although their links were up all the time and other nodes sent
 * messages of the membership protocol: what is small passes, what forms a membership does not. A
 * node whose corosync ended has a link that is down.
 */
export function nodesApart(
  first: Statistics,
  second: Statistics,
  partition: readonly number[],
): number[] {
  const increase = (key: keyof RingFigures): number => second.ring[key] - first.ring[key];
  if (increase("control") - increase("controlSent") <= 0) return [];
  const up = second.links.filter((figures) => isUpThroughout(first, figures));
  const nodes = new Set(up.map(({ node }) => node));
  return [...nodes].filter((node) => !partition.includes(node));
}

/** A link with a smaller MTU than the same link to another node, or than its interface allows. */
export interface NarrowLink extends LinkFigures {
  /** The smallest usual MTU, bytes. */
  readonly usual: number;
}

/**
 * The links that are up and narrow. `interfaceMtu`: MTU of this node's interface by link number,
 * where it is known.
 */
export function narrowLinks(
  { links }: Statistics,
  interfaceMtu: ReadonlyMap<number, number>,
): NarrowLink[] {
  const measured = links.filter(({ connected, mtu }) => connected && mtu > 0);
  return measured.flatMap((figures) => {
    const peers = measured.filter(({ link }) => link === figures.link).map(({ mtu }) => mtu);
    const own = interfaceMtu.get(figures.link) ?? 0;
    const usual = Math.max(...peers, own - OVERHEAD_BYTES);
    return figures.mtu < usual - MTU_NOISE_BYTES ? [{ ...figures, usual }] : [];
  });
}
