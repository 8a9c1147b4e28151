/** This node's address, chosen as in C: the first non-loopback address of its host name. */
import { lookup } from "node:dns/promises";
import { errorText } from "../../base/error-text.ts";

/** Attempts, for a name service that is starting or busy. */
const ATTEMPTS = 5;
const PAUSE_MS = 100;

function isLoopback(address: string): boolean {
  return address.startsWith("127.") || address === "::1";
}

/** The result of a lookup: the address, or why there is none. */
type Lookup = { readonly address: string } | { readonly reason: string };

/** All addresses of a name, from the name services of this host (nsswitch.conf). */
async function addressesOf(name: string): Promise<string[]> {
  return (await lookup(name, { all: true })).map(({ address }) => address);
}

async function lookUp(nodeName: string, find: typeof addressesOf): Promise<Lookup> {
  try {
    const found = await find(nodeName);
    const address = found.find((each) => !isLoopback(each));
    return address === undefined ? { reason: `found ${found.join(", ")}` } : { address };
  } catch (error) {
    return { reason: errorText(error) };
  }
}

/**
 * The address; or, when the name has none or only loopback ones, the reason of the last lookup.
 * `find` returns the addresses of a name, or throws.
 */
export async function findNodeAddress(nodeName: string, find = addressesOf): Promise<Lookup> {
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

/** The C server's message for a node without an address; a second line has the lookup's reason. */
export function unresolved(nodeName: string, reason: string): string {
  return (
    `Unable to resolve node name '${nodeName}' to a non-loopback IP address - ` +
    `missing entry in '/etc/hosts' or DNS?\nthe lookup, made ${ATTEMPTS} times: ${reason}`
  );
}
