/**
 * Which process listens on the service's name and whether it runs, the restart flag, the state of
 * the service in systemd, and what it and pvestatd wrote into the journal.
 */
import { counted } from "../../../base/counted.ts";
import { maskSecrets } from "../../../base/mask-secrets.ts";
import type { Listener } from "../context.ts";
import { explain } from "../../diagnosis/explain.ts";
import { type Finding, found, pass, skip } from "../finding.ts";
import type { Context, Probe } from "../probe.ts";
import { type ProcessInfo, parseKeys, readProcess } from "../proc.ts";

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
  const rivals = (await facts.processes()).filter(({ command }) => command === "pmxcfs");
  if (owner === undefined || rivals.some(({ pid }) => pid === owner.pid)) return [];
  const { proc } = machine.paths;
  const here = await machine.link(`${proc}/self/ns/net`);
  for (const { pid: pmxcfs } of rivals) {
    // A server in a container has its own network namespace, and does not take the name.
    if ((await machine.link(`${proc}/${pmxcfs}/ns/net`)) !== here) continue;
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
  const units = ["pve-cluster.service", "pmxcfs-ipc.service"];
  const { out } = await machine.run(["systemctl", "show", "-P", "LoadState", ...units], 1_000);
  return !/loaded|masked/.test(out);
}

/** With a unit, `systemctl start` is the fix. */
async function hasUnit({ machine }: Context): Promise<boolean> {
  const words = ["systemctl", "show", "-P", "LoadState", "pve-cluster.service"];
  const { out } = await machine.run(words, 1_000);
  return out.trim() === "loaded";
}

/** Nothing listens: the finding, with a fix where there is a unit to start. */
export async function absent(context: Context): Promise<Finding> {
  const { service } = context.facts;
  if (await notInstalled(context)) return found("NOT_INSTALLED", { service });
  return found("SOCKET_ABSENT", { service }, (await hasUnit(context)) ? {} : { fix: null });
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

const NODE_UNIT = "pve-cluster.service";
const UNITS = [NODE_UNIT, "pmxcfs-ipc.service"];
const PROPERTIES = "Id,LoadState,ActiveState,SubState,Result,NRestarts,ActiveEnterTimestamp";

const RESTARTS_LIMIT = 3;
const RETRIES_LIMIT = 10;
const LINES_SHOWN = 5;

/** Properties of one unit, as `systemctl show` prints them. */
type Properties = ReadonlyMap<string, string>;

/** `Key=value` lines, one block per unit. */
function parseShow(out: string): Properties[] {
  const blocks = out.split(/\n\s*\n/).filter((block) => block.trim() !== "");
  return blocks.map((block) => parseKeys(block.replaceAll(/^(\w+)=/gm, "$1:")));
}

/**
 * The units that may serve here. Beside pve-cluster.service our own one is meant to be off: if it
 * is started, it serves a tree of its own, and pmxcfs finds its name taken.
 */
function servingUnits(units: readonly Properties[]): readonly Properties[] {
  const isNode = units.some((unit) => {
    return unit.get("Id") === NODE_UNIT && unit.get("LoadState") !== "not-found";
  });
  return units.filter((unit) => {
    const wasStarted = ["active", "failed"].includes(unit.get("ActiveState") ?? "");
    return !isNode || unit.get("Id") === NODE_UNIT || wasStarted;
  });
}

function judge(unit: Properties, listening: boolean): Finding[] {
  const name = unit.get("Id") ?? "?";
  const load = unit.get("LoadState");
  const active = unit.get("ActiveState") ?? "?";
  if (load === "masked") return listening ? [] : [found("UNIT_MASKED", { unit: name })];
  if (load !== "loaded") return [];
  if (active === "failed") {
    return [found("UNIT_FAILED", { unit: name, result: unit.get("Result") ?? "?" })];
  }
  if (active !== "active") {
    const state = `${active} (${unit.get("SubState") ?? "?"})`;
    return listening ? [] : [found("UNIT_INACTIVE", { unit: name, state })];
  }
  const count = Number(unit.get("NRestarts") ?? 0);
  if (count >= RESTARTS_LIMIT) {
    return [found("UNIT_RESTARTS", { unit: name, count, limit: RESTARTS_LIMIT })];
  }
  const since = unit.get("ActiveEnterTimestamp") ?? "";
  return [pass("unit", `${name} is active since ${since}, restarted ${counted(count, "time")}`)];
}

/** The newest `count` lines of the last hour; none when there is no journal to read. */
async function journal(
  context: Context,
  units: readonly string[],
  count: number,
): Promise<string[]> {
  const words = [
    "journalctl",
    "--no-pager",
    "-o",
    "cat",
    "-b",
    "--since",
    "-1h",
    "-n",
    String(count),
  ];
  const which = units.flatMap((unit) => ["-u", unit]);
  const { code, out } = await context.machine.run([...words, ...which], context.left());
  return code === 0
    ? out.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("-- "))
    : [];
}

function seconds(line: string): number {
  return Number(/status update time \(([0-9.]+)/.exec(line)?.[1] ?? 0);
}

function journalFindings(lines: readonly string[]): Finding[] {
  const findings: Finding[] = [];
  const retried = lines.filter((line) => line.includes("cpg_send_message retried")).length;
  if (retried >= RETRIES_LIMIT) {
    findings.push(found("CPG_RETRIES", { count: retried, limit: RETRIES_LIMIT }));
  }
  const slow = lines.map(seconds).filter((time) => time > 0);
  if (slow.length > 0) {
    findings.push(found("STATUS_SLOW", { count: slow.length, seconds: Math.max(...slow) }));
  }
  return findings;
}

/** A line of pmxcfs's log (`[main] crit: ...`), or one by libfuse or the C library within it. */
const SERVER_LINE = /\[\w+ *\] \w+:|fuse|memdb|assert|segfault/i;

/**
 * Lines by systemd that a service failed, which its state shows as well, and lines by a server that
 * works.
 */
const SAYS_NOTHING_NEW: ReadonlySet<string> = new Set([
  "service-failed",
  "cluster-normal",
  "client-gone",
  "harmless-inotify",
]);

/** The last line by a service that does not serve, if its meaning is known. */
function known(lines: readonly string[], unit: string): Finding[] {
  for (const message of lines.toReversed()) {
    // Output of other programs that the unit starts is not the server's.
    if (!SERVER_LINE.test(message)) continue;
    const told = explain(message).find(({ text }) => !SAYS_NOTHING_NEW.has(text.id));
    if (told === undefined) continue;
    const { meaning } = told.text;
    const details = lines.slice(-LINES_SHOWN).map(maskSecrets);
    return [found("LOG_ERROR", { unit, message: maskSecrets(message), meaning }, { details })];
  }
  return [];
}

export const unitProbe: Probe = {
  check: "unit",
  async run(context) {
    const { machine, facts } = context;
    const listening = (await facts.server()) !== undefined;
    const words = ["systemctl", "show", "-p", PROPERTIES, ...UNITS];
    const shown = await machine.run(words, context.left());
    if (shown.missing) return [skip("unit", "systemctl is not installed")];
    if (shown.timedOut) return [skip("unit", "systemctl did not answer in time")];
    if (shown.code !== 0) return [skip("unit", `systemctl: ${firstLine(shown.error)}`)];
    const units = servingUnits(parseShow(shown.out));
    const findings = units.flatMap((unit) => judge(unit, listening));
    const lines = await journal(context, ["pve-cluster.service", "pvestatd.service"], 2000);
    const own = listening ? [] : await journal(context, UNITS, 40);
    const loaded = units.find((unit) => unit.get("LoadState") === "loaded")?.get("Id");
    const all = [...findings, ...journalFindings(lines), ...known(own, loaded ?? NODE_UNIT)];
    if (all.length > 0) return all;
    const there = units.find((unit) => unit.get("LoadState") !== "not-found")?.get("Id");
    const none = `neither ${UNITS.join(" nor ")} is installed`;
    return [
      skip("unit", there === undefined ? none : `${there} is off, and another process serves`),
    ];
  },
};

function firstLine(text: string): string {
  return text.trim().split("\n")[0] ?? "";
}
