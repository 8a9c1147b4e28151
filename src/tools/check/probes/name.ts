/** The node's own name: pmxcfs does not start unless it resolves to a non-loopback address. */
import { networkInterfaces } from "node:os";
import { type Finding, found, pass, shellQuote, skip } from "../finding.ts";
import { type HostsLine, hostsLines, isLoopback } from "../proc.ts";
import type { Context, Probe } from "../probe.ts";

/** getent(1): the key was not found. */
const NOT_FOUND = 2;

/** An address of this machine to put into a suggested line. */
function ownAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const usable = all.filter((one) => !one.internal && !one.address.startsWith("fe80:"));
  const first = usable.find((one) => one.family === "IPv4") ?? usable[0];
  return first?.address ?? "ADDRESS-OF-THIS-NODE";
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

/** Characters that mean nothing to a shell, nor to sed. */
const PLAIN = /^[\w.:-]+$/;

/** Replaces the line, all its names kept; one that is localhost's as well must stay. */
function rewrite(path: string, row: HostsLine | undefined, name: string): string {
  const own = ownAddress();
  if (
    row === undefined ||
    row.names.includes("localhost") ||
    !row.names.every((one) => PLAIN.test(one))
  ) {
    return `echo ${shellQuote(`${own} ${name}`)} >> ${path}`;
  }
  return `sed -i '${row.line}s/.*/${own} ${row.names.join(" ")}/' ${path}`;
}

async function loopback(context: Context, name: string, address: string): Promise<Finding> {
  const { facts, machine } = context;
  const path = machine.paths.etcHosts;
  const row = await lineOf(context, name, address);
  const where = row === undefined ? "not from /etc/hosts" : `line ${row.line} of ${path}`;
  if ((await facts.serverKind()) === "pmxcfs-ipc") {
    // Ours needs no address of its own to start.
    return pass("name", `${name} resolves to ${address} (${where}); a C pmxcfs would not start so`);
  }
  // A server that runs already will meet it at its next start.
  const severity = (await facts.server()) === undefined ? "fail" : "warn";
  const values = { name, address, where, number: row?.line ?? "", own: ownAddress() };
  return found("NAME_LOOPBACK", values, { severity, fix: rewrite(path, row, name) });
}

export const nameProbe: Probe = {
  check: "name",
  async run(context) {
    const { machine, facts, options } = context;
    const name = machine.hostName();
    const outcome = await machine.run(["getent", "ahosts", name], context.left());
    if (outcome.missing) return [skip("name", "getent is not installed")];
    const address = ownAddress();
    const running = (await facts.server()) !== undefined;
    if (outcome.timedOut) {
      return [found("NAME_SLOW", { name, deadline: options.deadlineMs, address })];
    }
    const ours = (await facts.serverKind()) === "pmxcfs-ipc";
    const addresses = outcome.out.split("\n").flatMap((line) => line.split(/\s+/)[0] || []);
    if (outcome.code === NOT_FOUND || addresses.length === 0) {
      const severity = ours ? "notice" : running ? "warn" : "fail";
      return [found("NAME_UNRESOLVED", { name, address }, { severity })];
    }
    const good = addresses.find((one) => !isLoopback(one));
    if (good === undefined) return [await loopback(context, name, addresses[0] ?? "?")];
    return [pass("name", `${name} resolves to ${good}`)];
  },
};
