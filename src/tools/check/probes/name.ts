/** The node's own name: pmxcfs does not start unless it resolves to a non-loopback address. */
import { networkInterfaces } from "node:os";
import { type Finding, found, pass, shellQuote, skip } from "../finding.ts";
import { type HostsLine, hostsLines, isLoopback, isLinkLocal } from "../proc.ts";
import type { Context, Probe } from "../probe.ts";

/** getent(1): the key was not found. */
const NOT_FOUND = 2;

/** Of the time of this check; the rest is for what to do about a name server that is silent. */
const LOOKUP_SHARE = 0.75;

/** The interface of the default route in /proc/net/route: destination and mask are zero. */
function defaultInterface(table: string): string | undefined {
  const row = table.split("\n").find((line) => {
    const [, destination, , , , , , mask] = line.split("\t");
    return destination === "00000000" && mask === "00000000";
  });
  return row?.split("\t")[0];
}

/**
 * The address of this node for a line of /etc/hosts: the one of the default route's interface,
 * else the first; undefined when the machine has none.
 */
async function ownAddress({ machine }: Context): Promise<string | undefined> {
  const table = await machine.text(`${machine.paths.proc}/net/route`);
  const preferred = defaultInterface(typeof table === "string" ? table : "");
  const all = Object.entries(networkInterfaces()).flatMap(([name, list]) =>
    (list ?? []).map(({ address, family, internal }) => ({ address, family, internal, name })),
  );
  const usable = all
    .filter(({ internal, address }) => !internal && !isLinkLocal(address))
    .toSorted((a, b) => Number(b.name === preferred) - Number(a.name === preferred));
  return (usable.find(({ family }) => family === "IPv4") ?? usable[0])?.address;
}

async function lineOf(
  { machine }: Context,
  name: string,
  address: string,
): Promise<HostsLine | undefined> {
  const text = await machine.text(machine.paths.etcHosts);
  const lines = typeof text === "string" ? hostsLines(text, name) : [];
  return lines.find((line) => line.address === address) ?? lines[0];
}

/**
 * The command that gives the name an address of this machine: changes the address of its line and
 * keeps the file as it was under a name with the time; or appends a line, where there is none or
 * it is localhost's as well. Null without an address.
 */
function rewrite(
  path: string,
  row: HostsLine | undefined,
  name: string,
  own: string | undefined,
  restart: string,
): string | null {
  if (own === undefined) return null;
  const file = shellQuote(path);
  const isOurs = row !== undefined && !row.names.includes("localhost");
  if (!isOurs || !isLoopback(row.address)) {
    return `printf '\\n%s %s\\n' ${own} ${shellQuote(name)} >> ${file}${restart}`;
  }
  const from = row.address.replaceAll(".", String.raw`\.`);
  const backup = "--in-place=.bak-$(date +%Y%m%d-%H%M%S)";
  return `sed ${backup} '${row.line}s/${from}/${own}/' ${file}${restart}`;
}

const RESTART = " && systemctl restart pve-cluster";

async function loopback(context: Context, name: string, address: string): Promise<Finding> {
  const { facts, machine } = context;
  const hosts = machine.paths.etcHosts;
  const row = await lineOf(context, name, address);
  const where = row === undefined ? "not from /etc/hosts" : `line ${row.line} of ${hosts}`;
  if ((await facts.serverKind()) === "pmxcfs-ipc") {
    // Ours needs no address of its own to start.
    return pass("name", `${name} resolves to ${address} (${where}); a C pmxcfs would not start so`);
  }
  // A server that runs already is affected at its next start.
  const running = (await facts.server()) !== undefined;
  const own = await ownAddress(context);
  const fix = rewrite(hosts, row, name, own, running ? "" : RESTART);
  const values = { name, address, where, hosts, own: own ?? "" };
  return found("NAME_LOOPBACK", values, { severity: running ? "warn" : "fail", fix });
}

/** No address, or none in time: a line in /etc/hosts is the fix. */
async function nameless(
  context: Context,
  code: "NAME_UNRESOLVED" | "NAME_SLOW",
  severity: "notice" | "warn" | "fail",
  deadline = 0,
): Promise<Finding> {
  const { machine, facts } = context;
  const name = machine.hostName();
  const hosts = machine.paths.etcHosts;
  const own = await ownAddress(context);
  const running = (await facts.server()) !== undefined;
  const fix = rewrite(hosts, undefined, name, own, running ? "" : RESTART);
  const values = { name, hosts, address: own ?? "", deadline };
  return found(code, values, { severity, fix });
}

export const nameProbe: Probe = {
  check: "name",
  async run(context) {
    const { machine, facts } = context;
    const name = machine.hostName();
    const budgetMs = Math.round(context.left() * LOOKUP_SHARE);
    const outcome = await machine.run(["getent", "ahosts", name], budgetMs);
    if (outcome.missing) return [skip("name", "getent is not installed")];
    const running = (await facts.server()) !== undefined;
    if (outcome.timedOut) return [await nameless(context, "NAME_SLOW", "warn", budgetMs)];
    const ours = (await facts.serverKind()) === "pmxcfs-ipc";
    const addresses = outcome.out.split("\n").flatMap((line) => line.split(/\s+/)[0] || []);
    if (outcome.code === NOT_FOUND || addresses.length === 0) {
      const severity = ours ? "notice" : running ? "warn" : "fail";
      return [await nameless(context, "NAME_UNRESOLVED", severity)];
    }
    const good = addresses.find((one) => !isLoopback(one));
    if (good === undefined) return [await loopback(context, name, addresses[0] ?? "?")];
    return [pass("name", `${name} resolves to ${good}`)];
  },
};
