/**
 * The caller and the node: the caller's ids against the access rule, the namespaces between it and
 * the server, and the node's own name, for which pmxcfs needs a non-loopback address.
 */
import type { Group } from "../../../platform/groups.ts";
import type { Identity } from "../context.ts";
import { type Finding, found, pass, shellQuote, skip } from "../finding.ts";
import type { Context, Probe } from "../probe.ts";
import { type HostsLine, hostsLines, isLoopback } from "../proc.ts";
import { isChroot } from "./chroot.ts";
import { ownAddress } from "./own-address.ts";

export type Standing = "read-write" | "read-only" | "refused";

/** The result of pmxcfs's access rule for these ids: (uid 0 and gid 0) or gid www-data. */
export function standing(uid: number, gid: number, wwwData: Group | undefined): Standing {
  if (wwwData !== undefined && gid === wwwData.gid) return "read-only";
  return uid === 0 && gid === 0 ? "read-write" : "refused";
}

/** The finding for a caller that is (or would be) refused: which half of the rule fails. */
export async function refusal(
  { facts }: Context,
  identity: Identity,
  severity: "notice" | "fail",
): Promise<Finding> {
  // The server sees the ids outside of a user namespace.
  const { uid, gid } = (await facts.outerIds()) ?? identity;
  const group = await facts.group("www-data");
  const wwwdata = group?.gid ?? "none";
  if (gid === group?.gid || (uid === 0 && gid === 0)) {
    return found("ACCESS_REFUSED_RULE", { uid, gid }, { severity });
  }
  if (uid !== 0) return found("ACCESS_REFUSED_UID", { uid, gid, wwwdata }, { severity });
  const name = (await facts.group(String(gid)))?.name ?? "no name";
  return found("ACCESS_REFUSED_GID", { gid, group: name, wwwdata }, { severity });
}

async function networkNamespace({ machine, facts }: Context): Promise<Finding[]> {
  const { proc } = machine.paths;
  const own = await machine.link(`${proc}/self/ns/net`);
  const init = await machine.link(`${proc}/1/ns/net`);
  // Only root may read that of pid 1; without it there is nothing to compare.
  if (typeof own === "number" || typeof init === "number" || own === init) return [];
  const severity = (await facts.server()) === undefined ? "fail" : "notice";
  return [found("NETNS_DIFFERS", { own, init, service: facts.service }, { severity })];
}

/** A notice; the cause, when the server refused these ids. */
async function userNamespace({ facts }: Context, { uid, gid }: Identity): Promise<Finding[]> {
  const outer = await facts.outerIds();
  if (outer === undefined) return [];
  const values = { uid, gid, outside: outer.uid, outsideGid: outer.gid };
  return [found("USER_NAMESPACE", values, facts.refused ? { severity: "fail" } : {})];
}

async function container({ machine }: Context): Promise<Finding[]> {
  const environment = await machine.text(`${machine.paths.proc}/1/environ`);
  const words = typeof environment === "string" ? environment.split("\0") : [];
  const sign = words.find((word) => word.startsWith("container="));
  return sign === undefined ? [] : [found("IN_CONTAINER", { sign })];
}

function differing({ realUid, uid, realGid, gid }: Identity): Finding[] {
  if (realUid === uid && realGid === gid) return [];
  return [found("CREDENTIALS_DIFFER", { ruid: realUid, euid: uid, rgid: realGid, egid: gid })];
}

export const identityProbe: Probe = {
  check: "identity",
  async run(context) {
    const { facts } = context;
    const identity = await facts.identity();
    const { uid, gid } = identity;
    const wwwData = await facts.group("www-data");
    const allowed = standing(uid, gid, wwwData);
    const findings: Finding[] = [];
    if (wwwData === undefined) {
      const severity = (await facts.isServed()) ? "warn" : "fail";
      findings.push(found("GROUP_MISSING", {}, { severity }));
    }
    if (allowed !== "refused") {
      findings.push(pass("identity", `uid ${uid}, gid ${gid}: ${allowed} by pmxcfs's rule`));
    } else if ((await facts.server()) === undefined) {
      // With a server the connection itself is the test.
      findings.push(await refusal(context, identity, "notice"));
    }
    return [
      ...findings,
      ...differing(identity),
      ...(await networkNamespace(context)),
      ...(await userNamespace(context, identity)),
      ...(await container(context)),
    ];
  },
};

/** getent(1): the key was not found. */
const NOT_FOUND = 2;

/**
 * Part of this check's time for the lookup. The rest is for the fix when the name server is silent:
 * it needs this host's address, and whether a server runs.
 */
const LOOKUP_SHARE = 0.5;

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
 * The command that gives the name an address of this machine: it changes the address in the name's
 * line and keeps the old file under a name with the time; or it appends a line, where there is none
 * or the line is localhost's as well. Null without an address.
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

/** Names of a machine that has none of its own: systemd's (without /etc/hostname), the kernel's. */
const NO_NAMES: ReadonlySet<string> = new Set(["", "localhost", "(none)"]);

async function loopback(context: Context, name: string, address: string): Promise<Finding> {
  const { facts, machine } = context;
  const hosts = machine.paths.etcHosts;
  const row = await lineOf(context, name, address);
  const where = row === undefined ? "not from /etc/hosts" : `line ${row.line} of ${hosts}`;
  if ((await facts.serverKind()) === "pmxcfs-ipc") {
    // Our server needs no address to start.
    return pass("name", `${name} resolves to ${address} (${where}); a C pmxcfs would not start so`);
  }
  // A running server is affected only at its next start.
  const running = await facts.isServed();
  const own = await ownAddress(context);
  const fix = rewrite(hosts, row, name, own, running ? "" : RESTART);
  const values = { name, address, where, hosts, own: own ?? "" };
  return found("NAME_LOOPBACK", values, { severity: running ? "warn" : "fail", fix });
}

/** No address, or not in time: a line in /etc/hosts is the fix. */
async function nameless(
  context: Context,
  code: "NAME_UNRESOLVED" | "NAME_SLOW",
  severity: "notice" | "warn" | "fail",
  deadline = 0,
): Promise<Finding> {
  const { machine, facts } = context;
  const name = await facts.nodeName();
  const hosts = machine.paths.etcHosts;
  const own = await ownAddress(context);
  const running = await facts.isServed();
  const fix = rewrite(hosts, undefined, name, own, running ? "" : RESTART);
  const values = { name, hosts, address: own ?? "", deadline };
  return found(code, values, { severity, fix });
}

export const nameProbe: Probe = {
  check: "name",
  async run(context) {
    const { machine, facts } = context;
    if (await isChroot(context)) {
      const around = machine.hostName();
      return [skip("name", `this is a chroot: ${around} is the name of the system around it`)];
    }
    const name = await facts.nodeName();
    const running = await facts.isServed();
    const ours = (await facts.serverKind()) === "pmxcfs-ipc";
    const severity = ours ? "notice" : running ? "warn" : "fail";
    if (NO_NAMES.has(name)) return [found("HOSTNAME_LOST", { name }, { severity })];
    const budgetMs = Math.round(context.left() * LOOKUP_SHARE);
    const outcome = await machine.run(["getent", "ahosts", name], budgetMs);
    if (outcome.missing) return [skip("name", "getent is not installed")];
    if (outcome.timedOut) return [await nameless(context, "NAME_SLOW", "warn", budgetMs)];
    const addresses = outcome.out.split("\n").flatMap((line) => line.split(/\s+/)[0] || []);
    // Killed, or not started: that shows nothing about the name.
    if (outcome.code !== 0 && outcome.code !== NOT_FOUND) {
      return [skip("name", `the lookup failed: ${outcome.error.trim() || "getent failed"}`)];
    }
    if (outcome.code === NOT_FOUND || addresses.length === 0) {
      return [await nameless(context, "NAME_UNRESOLVED", severity)];
    }
    const good = addresses.find((one) => !isLoopback(one));
    if (good === undefined) return [await loopback(context, name, addresses[0] ?? "?")];
    return [pass("name", `${name} resolves to ${good}`)];
  },
};
