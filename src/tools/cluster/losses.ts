/**
 * What two readings of corosync's counters, about a second apart, say about lost messages: whether
 * they are lost at all, and whether it depends on their size. Pure.
 */
import type { LinkFigures, RingFigures, Statistics } from "./link-statistics.ts";

/**
 * Messages sent again since corosync's start below which nobody looks closer: a node that misses
 * one asks for it at each round of the token, 2 to 5 times a second, so a loss that lasts has
 * passed this within a minute; the start of a node or a link that went down costs a few.
 */
export const RESENT_SUSPECT = 100;
/** Sent again between two readings, at least, for a loss that goes on. */
export const RESENT_LIMIT = 2;
/** Packets without a whole message, at least: one may be a message that was on its way. */
const PIECES_LIMIT = 3;
/** knet's search of the MTU ends within a block of the cipher. */
const MTU_NOISE_BYTES = 32;
/** IPv6 and UDP 48, knet's header 26, IV and padding of a cipher block 32, SHA-512 64. */
const OVERHEAD_BYTES = 170;

export interface Losses {
  readonly seconds: number;
  /** Messages that this node sent, and sent again. */
  readonly sent: number;
  readonly resent: number;
  /** Packets with data beyond those of whole messages; a whole large message has many. */
  readonly pieces: number;
  /** Whole messages of other nodes. */
  readonly received: number;
  readonly tokens: number;
  /** Losses that repeat, with links that are up and a token that comes: what is small passes. */
  readonly large: boolean;
}

/** The counters between two readings. */
export function lossesBetween(first: Statistics, second: Statistics): Losses {
  const of = (key: keyof RingFigures): number => second.ring[key] - first.ring[key];
  const sent = of("sent");
  const resent = of("resent");
  // What this node sends comes back to it as received.
  const received = of("received") - sent - resent;
  const packets = second.links.reduce((sum, { node, link, packets: now }) => {
    const before = first.links.find((one) => one.node === node && one.link === link)?.packets;
    return sum + now - (before ?? now);
  }, 0);
  const pieces = packets - of("tokens") - of("control") - received;
  const up = [...first.links, ...second.links].every(({ connected }) => connected);
  const smallPasses = up && of("tokens") > 0 && of("tokensLost") === 0;
  // More sent again than new: most would have to be lost, and then the token would be too.
  const isSender = resent >= RESENT_LIMIT && resent > sent;
  // The last packet of a message is a short one: it comes, and the message does not.
  const isReceiver = pieces >= PIECES_LIMIT && received <= 0;
  return {
    seconds: (second.atMs - first.atMs) / 1000,
    sent,
    resent,
    pieces: Math.max(0, pieces),
    received: Math.max(0, received),
    tokens: of("tokens"),
    large: smallPasses && (isSender || isReceiver),
  };
}

/** Messages were sent again between the readings, whatever their size. */
export function isLossy({ resent }: Losses): boolean {
  return resent >= RESENT_LIMIT;
}

/** A link that carries less than another to a different node, or than its interface could. */
export interface NarrowLink extends LinkFigures {
  /** What it should carry, at least. */
  readonly usual: number;
}

/**
 * Links that are up with a smaller MTU than links of the same number. `interfaceMtu`: of the own
 * interface by link, where it is known.
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
