/** Who asks: ids against the accept rule, and the namespaces between it and the server. */
import type { Context, Probe } from "../probe.ts";
import { type Finding, found, pass } from "../finding.ts";
import type { Group, Identity } from "../context.ts";

export type Standing = "read-write" | "read-only" | "refused";

/** What pmxcfs's accept rule makes of these ids: (uid 0 and gid 0) or gid www-data. */
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
  // Only root may look at pid 1's; without a value there is nothing to compare.
  if (typeof own === "number" || typeof init === "number" || own === init) return [];
  const severity = (await facts.server()) === undefined ? "fail" : "notice";
  return [found("NETNS_DIFFERS", { own, init, service: facts.service }, { severity })];
}

/** Worth a note; the cause, when the server refused these ids. */
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
      const severity = (await facts.server()) === undefined ? "fail" : "warn";
      findings.push(found("GROUP_MISSING", {}, { severity }));
    }
    if (allowed !== "refused") {
      findings.push(pass("identity", `uid ${uid}, gid ${gid}: ${allowed} by pmxcfs's rule`));
    } else if ((await facts.server()) === undefined) {
      // With a server, connecting to it tells for certain.
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
