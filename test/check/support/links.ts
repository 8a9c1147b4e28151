/** Paths that drop packets by their size, and the findings about links, for tests on corosyncs. */
import type { ClusterNode } from "../../corosync/support/cluster.ts";
import { codesOf, PROGRAM, type Told } from "./run.ts";

/** Packets that come to eth0 and for which this classic BPF program returns 2 are dropped. */
export function filter(bytecode: string): string {
  const qdisc = "tc qdisc add dev eth0 clsact";
  return `${qdisc} && tc filter add dev eth0 ingress bpf da bytecode '${bytecode}'`;
}

/** Drops packets above 1,000 bytes: loads the length, compares, drops or passes. */
export const DROP_LARGE = filter("4,128 0 0 0,37 0 1 1000,6 0 0 2,6 0 0 0");

/** Why no packets can be dropped here; undefined if they can. */
export function noFilter(): string | undefined {
  const words = ["unshare", "--net", "sh", "-c", DROP_LARGE.replaceAll("eth0", "lo")];
  return Bun.spawnSync(words).success ? undefined : "needs tc with clsact and bpf";
}

const LINK_CODES = new Set(["LARGE_MESSAGES_LOST", "MESSAGES_RESENT", "LINK_MTU_SMALL"]);

/** /sys with the interfaces of the node's network instead of the machine's. */
export const OWN_INTERFACES = ["mount", "-t", "sysfs", "sysfs", "/sys"];

/** Runs the check of the cluster on a node. */
export async function checkedOn(one: ClusterNode): Promise<Told> {
  const words = ["--check", "--only", "cluster", "--json"];
  const patient = ["--deadline", "10s", "--total-deadline", "50s"];
  const { stdout } = await one.run(...PROGRAM, ...words, ...patient);
  return JSON.parse(stdout) as Told;
}

/** The codes about links in a report. */
export function linkCodes(report: Told): string[] {
  return codesOf(report).flatMap((code) => (code !== null && LINK_CODES.has(code) ? [code] : []));
}
