/**
 * The address of this node for a line of /etc/hosts. Of several, it is the one by which the other
 * nodes know it: PVE takes the address of the node's name for the API, migrations and SSH, writes
 * it into the certificate of the node (Setup.pm, gen_pve_ssl_cert), and takes it for ring0_addr
 * when nothing else is given. A network of corosync's own is the worse choice: migrations would
 * fill it.
 */
import { within } from "../../../base/within.ts";
import type { SalvagedItem } from "../../../pmxcfs/rescue/salvage.ts";
import { parseCorosyncConf } from "../../../pmxcfs/state/corosync-conf.ts";
import type { Context } from "../probe.ts";
import { isLinkLocal } from "../proc.ts";
import { interfaceAddresses } from "./addresses.ts";
import { itemsInTime } from "./database.ts";
import { X509Certificate } from "node:crypto";
import { isIPv6 } from "node:net";

/** Part of the time left for reading config.db, whose disk may hang. */
const READ_SHARE = 0.5;

/** The interface of the default route in /proc/net/route: destination and mask are zero. */
function defaultInterface(table: string): string | undefined {
  const row = table.split("\n").find((line) => {
    const [, destination, , , , , , mask] = line.split("\t");
    return destination === "00000000" && mask === "00000000";
  });
  return row?.split("\t")[0];
}

/** Addresses of this machine, the best first: of the default route's interface, IPv4. */
async function addresses(context: Context): Promise<string[]> {
  const { paths, text } = context.machine;
  const table = await text(`${paths.proc}/net/route`);
  const preferred = defaultInterface(typeof table === "string" ? table : "");
  const all = await interfaceAddresses(context);
  const usable = all
    .filter(({ internal, address }) => !internal && !isLinkLocal(address))
    .toSorted((a, b) => Number(b.name === preferred) - Number(a.name === preferred));
  return [
    ...usable.filter(({ family }) => family === "IPv4"),
    ...usable.filter(({ family }) => family !== "IPv4"),
  ].map(({ address }) => address);
}

/** An IPv6 address in its shortest form; others as they are. */
function shortest(address: string): string {
  return isIPv6(address)
    ? new URL(`http://[${address}]`).hostname.replaceAll(/[[\]]/g, "")
    : address;
}

/** The addresses in a certificate (PEM); none if it cannot be read. */
export function certifiedAddresses(pem: string): string[] {
  try {
    const names = new X509Certificate(pem).subjectAltName ?? "";
    return [...names.matchAll(/IP Address:([^,]+)/g)].map(([, address = ""]) => shortest(address));
  } catch {
    return [];
  }
}

function contentOf(items: readonly SalvagedItem[], path: string): string {
  const item = items.find((one) => one.path.join("/") === path);
  return item === undefined ? "" : Buffer.from(item.row.data).toString("latin1");
}

/** Addresses that this node had for PVE and corosync, PVE's first. */
async function known(context: Context): Promise<string[]> {
  const { machine, facts, left } = context;
  const name = await facts.nodeName();
  const items = (await within(itemsInTime(context), left() * READ_SHARE)) ?? [];
  const text = await machine.text(machine.paths.corosyncConf);
  const config = parseCorosyncConf(typeof text === "string" ? text : "");
  const nodes = typeof config === "string" ? [] : config.nodes;
  const ring0 = nodes.find((node) => node.name === name)?.address;
  return [
    ...certifiedAddresses(contentOf(items, `nodes/${name}/pve-ssl.pem`)),
    ...(ring0 === undefined ? [] : [shortest(ring0)]),
  ];
}

/** The address, which an interface of this machine has; undefined if none has one. */
export async function ownAddress(context: Context): Promise<string | undefined> {
  const usable = await addresses(context);
  if (usable.length < 2) return usable[0];
  return (await known(context)).find((address) => usable.includes(address)) ?? usable[0];
}
