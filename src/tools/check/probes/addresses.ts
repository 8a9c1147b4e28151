/**
 * The addresses of this machine, also those of an interface whose link is down: an unplugged cable
 * changes no address, but os.networkInterfaces() leaves them out.
 */
import type { Context } from "../probe.ts";
import { isRecord } from "../session.ts";
import { networkInterfaces } from "node:os";

export interface InterfaceAddress {
  /** The name of the interface. */
  readonly name: string;
  readonly address: string;
  readonly family: "IPv4" | "IPv6";
  /** A loopback interface. */
  readonly internal: boolean;
}

const FAMILIES: Readonly<Record<string, InterfaceAddress["family"]>> = {
  inet: "IPv4",
  inet6: "IPv6",
};

/** The output of `ip -json address` (iproute2), which has `{}` for what it leaves out. */
export function parseAddresses(text: string): InterfaceAddress[] | undefined {
  let rows: unknown;
  try {
    rows = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!Array.isArray(rows)) return undefined;
  return rows.filter(isRecord).flatMap(({ ifname, flags, addr_info: list }) => {
    const words: readonly unknown[] = Array.isArray(flags) ? flags : [];
    if (typeof ifname !== "string" || !words.includes("UP") || !Array.isArray(list)) return [];
    const internal = words.includes("LOOPBACK");
    return list.filter(isRecord).flatMap(({ family, local: address }) => {
      const known = FAMILIES[String(family)];
      if (known === undefined || typeof address !== "string") return [];
      return { name: ifname, address, family: known, internal };
    });
  });
}

/** All addresses of interfaces that are up; without iproute2 only of those with a link. */
export function interfaceAddresses({
  machine,
  facts,
  left,
}: Context): Promise<readonly InterfaceAddress[]> {
  return facts.once("addresses", async () => {
    // Without those of one link only: a node has an interface for each network card of a guest.
    const words = ["ip", "-json", "address", "show", "scope", "global"];
    const { code, out } = await machine.run(words, left());
    const found = code === 0 ? parseAddresses(out) : undefined;
    if (found !== undefined) return found;
    return Object.entries(networkInterfaces()).flatMap(([name, list]) =>
      (list ?? []).map(({ address, family, internal }) => ({ name, address, family, internal })),
    );
  });
}
