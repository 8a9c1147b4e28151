/** Which process listens on the service's name and whether it runs, and the restart flag. */
import type { Listener } from "../context.ts";
import { HIDES_LISTENER } from "../../diagnosis/codes.ts";
import { NODE_IS_SERVED, NODE_NOT_SERVED } from "../../diagnosis/codes/listener.ts";
import { type Finding, found, pass, skip } from "../finding.ts";
import type { Context, Probe } from "../probe.ts";
import { type ProcessInfo, readProcess } from "../proc.ts";
import { isOfNode, startOf, UNITS } from "./unit.ts";

/** Interval after which a process in uninterruptible sleep is looked at again. */
const STUCK_SAMPLE_MS = 150;

/** A start removes the flag quickly; with a younger flag it may still be in progress. */
const FLAG_GRACE_S = 15;

function describe(owner: ProcessInfo | undefined): string {
  return owner === undefined
    ? "a process that only root can see"
    : `pid ${owner.pid} (${owner.command})`;
}

function where(listener: Listener, service: string, path: string): string {
  return listener.kind === "file" ? path : `@${service}`;
}

async function running({ machine }: Context, owner: ProcessInfo): Promise<Finding[]> {
  const { pid, command, state } = owner;
  const values = { pid, command, state };
  // A process that a debugger has stopped is not continued by a signal.
  if (state === "t") return [found("SERVER_STOPPED", values, { fix: null })];
  if (state === "T") return [found("SERVER_STOPPED", values)];
  if (state !== "D") return [];
  await Bun.sleep(STUCK_SAMPLE_MS);
  const again = readProcess(machine.paths.proc, pid);
  if (again?.state !== "D" || again.startTicks !== owner.startTicks) return [];
  const wchan = await machine.text(`${machine.paths.proc}/${pid}/wchan`);
  const place = typeof wchan === "string" && wchan !== "0" ? wchan : "the kernel";
  return [found("SERVER_STUCK", { pid, command, wchan: place })];
}

async function restartFlag({ machine }: Context, listening: boolean): Promise<Finding[]> {
  const path = machine.paths.restartFlag;
  const flag = await machine.info(path);
  if (typeof flag === "number") return [];
  const age = Math.max(0, Math.round((machine.now() - flag.modifiedMs) / 1000));
  if (!listening) return [found("RESTART_FLAG", { path, age })];
  return age < FLAG_GRACE_S ? [] : [found("RESTART_FLAG_STALE", { path, age })];
}

/** Listeners that libqb clients do not reach. */
async function unreachable({ machine, facts }: Context): Promise<Finding[]> {
  const service = facts.service;
  const path = facts.socketPath();
  const flag = machine.paths.filesystemSockets;
  const uses = await facts.usesFilesystem();
  return (await facts.listeners()).flatMap((listener) => {
    const { pid = "?", command = "?" } = listener.owner ?? {};
    if (listener.kind === "short") {
      return [found("SOCKET_SHORT_ADDRESS", { service, pid, command, length: listener.length })];
    }
    if ((listener.kind === "file") === uses) return [];
    const state = uses ? "is there" : "is not there";
    const at = where(listener, service, path);
    return [found("SOCKET_FILESYSTEM_MISMATCH", { flag, state, where: at, path })];
  });
}

/** A pmxcfs in this network namespace that runs but is not the process that listens. */
async function taken({ machine, facts }: Context, server: Listener): Promise<Finding[]> {
  const { owner } = server;
  // The node's own server has its own name.
  if ((await facts.nodeListeners()).length > 0) return [];
  const rivals = (await facts.processes()).filter(({ command }) => command === "pmxcfs");
  if (owner === undefined || rivals.some(({ pid }) => pid === owner.pid)) return [];
  const { proc } = machine.paths;
  const here = await machine.link(`${proc}/self/ns/net`);
  for (const { pid: pmxcfs } of rivals) {
    // A server in a container has its own network namespace, and does not take the name.
    if ((await machine.link(`${proc}/${pmxcfs}/ns/net`)) !== here) continue;
    if (await facts.isServer(pmxcfs)) continue;
    const { pid, command } = owner;
    const rival = `; the running pmxcfs is pid ${pmxcfs}`;
    return [found("SOCKET_TAKEN", { service: facts.service, pid, command, rival })];
  }
  return [];
}

/** Nothing on this machine would ever listen. */
async function notInstalled({ machine, facts }: Context): Promise<boolean> {
  const { database, pve } = machine.paths;
  if (machine.has("pmxcfs") || typeof (await machine.info(database)) !== "number") return false;
  if ((await facts.processes()).some(({ command }) => command === "pmxcfs")) return false;
  const mounts = await machine.text(`${machine.paths.proc}/self/mountinfo`);
  if (typeof mounts === "string" && mounts.includes(` ${pve} `)) return false;
  const { out } = await machine.run(["systemctl", "show", "-P", "LoadState", ...UNITS], 1_000);
  return !/loaded|masked/.test(out);
}

/**
 * Nothing listens: the finding, with a fix where there is a unit to start. What prevents the start
 * of the node's server (a damaged config.db) does not explain that another service is not served.
 */
export async function absent(context: Context): Promise<Finding> {
  const { service } = context.facts;
  const isServed = (await context.facts.nodeListeners()).length > 0;
  const isOwn = await isOfNode(context);
  const causes = isOwn ? {} : { causes: HIDES_LISTENER };
  if (isServed) {
    return found("SOCKET_ABSENT", { service }, { fix: null, advice: NODE_IS_SERVED, ...causes });
  }
  if (await notInstalled(context)) return found("NOT_INSTALLED", { service });
  if (isOwn) return found("SOCKET_ABSENT", { service }, await startOf(context));
  return found("SOCKET_ABSENT", { service }, { fix: null, advice: NODE_NOT_SERVED, ...causes });
}

export const listenerProbe: Probe = {
  check: "listener",
  async run(context) {
    const { facts, machine } = context;
    if (!(await facts.seesListeners())) {
      return [skip("listener", `${machine.paths.proc}/net/unix cannot be read`)];
    }
    const server = await facts.server();
    const lost = await unreachable(context);
    const flag = await restartFlag(context, server !== undefined);
    if (server === undefined) {
      return [...lost, ...(lost.length === 0 ? [await absent(context)] : []), ...flag];
    }
    const at = where(server, facts.service, facts.socketPath());
    const bad = server.owner === undefined ? [] : await running(context, server.owner);
    if (lost.length > 0) {
      const all = await facts.listeners();
      const list = all
        .map((one) => `${one.kind} address of ${describe(one.owner)}`)
        .toSorted()
        .join(", ");
      bad.push(found("SOCKET_SEVERAL", { service: facts.service, count: all.length, list }));
    }
    bad.push(...(await taken(context, server)), ...flag);
    if (bad.length > 0) return bad;
    return [pass("listener", `${describe(server.owner)} listens on ${at}`)];
  },
};
