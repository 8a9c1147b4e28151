/**
 * This node's address, as C chooses it: the first of its host name that is not a loopback address.
 */
import { lookup } from "node:dns/promises";
import { errorText } from "../../base/error-text.ts";

/** A name service that is starting, or busy, gets this many attempts. */
const ATTEMPTS = 5;
const PAUSE_MS = 100;

function isLoopback(address: string): boolean {
  return address.startsWith("127.") || address === "::1";
}

/** What a lookup gave: the address, or why there is none. */
type Looked = { readonly address: string } | { readonly reason: string };

/** All addresses of a name, as the name services of this machine give them (nsswitch.conf). */
async function addressesOf(name: string): Promise<string[]> {
  return (await lookup(name, { all: true })).map(({ address }) => address);
}

async function lookUp(nodeName: string, find: typeof addressesOf): Promise<Looked> {
  try {
    const found = await find(nodeName);
    const address = found.find((each) => !isLoopback(each));
    return address === undefined ? { reason: `found ${found.join(", ")}` } : { address };
  } catch (error) {
    return { reason: errorText(error) };
  }
}

/**
 * The address; when the name has none, or only loopback ones, what the last lookup gave. `find`
 * gives the addresses of a name, or throws.
 */
export async function findNodeAddress(nodeName: string, find = addressesOf): Promise<Looked> {
  for (let attempt = 1; ; attempt++) {
    const looked = await lookUp(nodeName, find);
    if ("address" in looked || attempt === ATTEMPTS) return looked;
    await Bun.sleep(PAUSE_MS);
  }
}

/** The address; undefined when the name has none, or only loopback ones. */
export async function resolveNodeAddress(nodeName: string): Promise<string | undefined> {
  const looked = await findNodeAddress(nodeName);
  return "address" in looked ? looked.address : undefined;
}

/** The C server's message for a node without one, and in a second line what the lookup gave. */
export function unresolved(nodeName: string, reason: string): string {
  return (
    `Unable to resolve node name '${nodeName}' to a non-loopback IP address - ` +
    `missing entry in '/etc/hosts' or DNS?\nthe lookup, made ${ATTEMPTS} times: ${reason}`
  );
}
