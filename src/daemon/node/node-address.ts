/**
 * This node's address, as C chooses it: the first of its host name that is not a loopback address.
 */
import { lookup } from "node:dns/promises";

function isLoopback(address: string): boolean {
  return address.startsWith("127.") || address === "::1";
}

/** The address; undefined when the name has none, or only loopback ones. */
export async function resolveNodeAddress(nodeName: string): Promise<string | undefined> {
  try {
    const found = await lookup(nodeName, { all: true });
    return found.map(({ address }) => address).find((address) => !isLoopback(address));
  } catch {
    return undefined;
  }
}

/** The C server's message for a node without one. */
export function unresolved(nodeName: string): string {
  return (
    `Unable to resolve node name '${nodeName}' to a non-loopback IP address - ` +
    "missing entry in '/etc/hosts' or DNS?"
  );
}
