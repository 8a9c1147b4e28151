/**
 * The servers of the node's database: a process that holds pmxcfs's lock and does not serve, a
 * server that prevents the start of the service, and two servers that write the same file.
 */
import { NODE_UNIT } from "../../../base/paths.ts";
import { lockHoldersIn } from "../../../platform/proc-locks.ts";
import { STARTED_BY_HAND } from "../../diagnosis/codes/listener.ts";
import { type Finding, found } from "../finding.ts";
import type { Context } from "../probe.ts";
import { descriptorNames, flocksOf, type ProcessInfo, readProcess, writersOf } from "../proc.ts";

/** Programs that may be ended for holding pmxcfs's lock. */
const SERVERS = /\/(pmxcfs|pmxcfs-ipc)( \(deleted\))?$/;

/**
 * The descriptor by which `pid` has this file open. find(1), a child, compares device and inode,
 * because looking at a descriptor on a hung file system would block this process.
 */
async function descriptorOf(context: Context, pid: number, path: string) {
  const { machine } = context;
  const directory = `${machine.paths.proc}/${pid}/fd`;
  const words = ["find", "-L", directory, "-maxdepth", "1", "-samefile", path];
  const { out } = await machine.run(words, context.left());
  const fd = out.split("\n")[0]?.slice(directory.length + 1);
  return fd === undefined || !/^\d+$/.test(fd) ? undefined : fd;
}

async function isProgram({ machine }: Context, pid: number): Promise<boolean> {
  const exe = await machine.link(`${machine.paths.proc}/${pid}/exe`);
  return typeof exe === "string" && SERVERS.test(exe);
}

/**
 * Whether `pid` is a pmxcfs that neither serves, under any name, nor is the node's own: the only
 * kind of process that a fix may end. A process in another network namespace may serve there, and
 * the process of the service's unit is the node's own.
 */
async function isStray(context: Context, pid: number): Promise<boolean> {
  const { machine, facts } = context;
  const { proc } = machine.paths;
  const [own, theirs] = await Promise.all(
    ["self/ns/net", `${pid}/ns/net`].map((name) => machine.link(`${proc}/${name}`)),
  );
  const group = await machine.text(`${proc}/${pid}/cgroup`);
  const inUnit = typeof group === "string" && /\/(pve-cluster|pmxcfs-ipc)\.service/.test(group);
  const listeners = await facts.listeners();
  return (
    (await isProgram(context, pid)) &&
    own === theirs &&
    !inUnit &&
    listeners.every(({ owner }) => owner !== undefined) &&
    !(await facts.isServer(pid))
  );
}

/** Whether systemd has started this process as the node's pmxcfs: its start may go on. */
async function isOfUnit({ machine, left }: Context, pid: number): Promise<boolean> {
  const words = ["systemctl", "show", "-p", "MainPID,ControlPID", "--value", NODE_UNIT];
  const { out } = await machine.run(words, left());
  return out.split("\n").includes(String(pid));
}

/**
 * The processes that hold the lock. /proc/locks has the process that took it: with the C server
 * that is the parent of the daemon, which has ended.
 */
function holders({ machine }: Context, table: string, inode: number): Set<number> {
  const { proc, lockFile } = machine.paths;
  return new Set([...lockHoldersIn(table, inode), ...flocksOf(proc, lockFile)]);
}

/** A process that holds pmxcfs's lock and does not serve. */
export async function lockFindings(context: Context): Promise<Finding[]> {
  const { machine, facts } = context;
  const path = machine.paths.lockFile;
  const info = await machine.info(path);
  const text = await machine.text(`${machine.paths.proc}/locks`);
  if (typeof info === "number" || typeof text !== "string") return [];
  // The holder may be the server that cannot be seen.
  if (!(await facts.seesListeners())) return [];
  const serving = [await facts.server(), ...(await facts.nodeListeners())].filter(
    (listener) => listener !== undefined,
  );
  if (serving.some(({ owner }) => owner === undefined)) return [];
  for (const pid of holders(context, text, info.inode)) {
    if (serving.some(({ owner }) => owner?.pid === pid)) continue;
    const fd = await descriptorOf(context, pid, path);
    if (fd === undefined || (await isOfUnit(context, pid))) continue;
    const command = readProcess(machine.paths.proc, pid)?.command ?? "?";
    const values = { pid, fd, command, path, service: facts.service };
    const stray = await isStray(context, pid);
    return [found("DB_LOCKED_BY_OTHER", values, stray ? {} : { fix: null })];
  }
  return [];
}

/** Several servers that write the file, each with a tree of its own in memory. */
export async function serversFindings(context: Context, path: string): Promise<Finding[]> {
  const { proc } = context.machine.paths;
  const server = (await context.facts.server())?.owner?.pid;
  const likely = writersOf(proc, path).flatMap((pid) => {
    const process = readProcess(proc, pid);
    // A command of this program may have it open as well.
    const isServer = process?.command === "pmxcfs" || pid === server;
    return process !== undefined && isServer ? process : [];
  });
  if (likely.length < 2) return [];
  // A container has a file of this name, too.
  const files = await Promise.all(likely.map(({ pid }) => descriptorOf(context, pid, path)));
  const servers = likely.filter((_, at) => files[at] !== undefined);
  if (servers.length < 2) return [];
  const list = servers.map(({ pid, command }) => `pid ${pid} (${command})`).join(", ");
  return [found("SERVER_TWICE", { path, count: servers.length, list })];
}

/** The server, if it has pmxcfs's lock and was not started by the node's unit. */
async function startedByHand({ machine, facts }: Context): Promise<ProcessInfo | undefined> {
  const owner = (await facts.server())?.owner;
  if (owner === undefined) return undefined;
  const { proc, lockFile } = machine.paths;
  if (!descriptorNames(proc, owner.pid).includes(lockFile)) return undefined;
  const group = await machine.text(`${proc}/${owner.pid}/cgroup`);
  return typeof group === "string" && !group.includes(`/${NODE_UNIT}`) ? owner : undefined;
}

/** A unit that failed; without a fix where a server that was started by hand prevents its start. */
export async function unitFailed(context: Context, unit: string, result: string): Promise<Finding> {
  const owner = unit === NODE_UNIT ? await startedByHand(context) : undefined;
  if (owner === undefined) return found("UNIT_FAILED", { unit, result });
  const { pid, command } = owner;
  const values = { unit, result, pid, command, service: context.facts.service };
  return found("UNIT_FAILED", values, { fix: null, advice: STARTED_BY_HAND });
}
