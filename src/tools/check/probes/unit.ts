/**
 * The state of the service in systemd, and what it and pvestatd wrote into the journal.
 */
import { counted } from "../../../base/counted.ts";
import { maskSecrets } from "../../../base/mask-secrets.ts";
import { NODE_UNIT, PVE_SERVICE } from "../../../base/paths.ts";
import { explain } from "../../diagnosis/explain.ts";
import { type Finding, found, pass, skip } from "../finding.ts";
import type { Context, Probe } from "../probe.ts";
import { parseKeys } from "../proc.ts";
import { unitFailed } from "./lock.ts";

/** The units that may serve a node. */
export const UNITS: readonly string[] = [NODE_UNIT, "pmxcfs-ipc.service"];

const PROPERTIES =
  "Id,LoadState,ActiveState,SubState,Result,NRestarts,ActiveEnterTimestamp," +
  "ConditionResult,ConditionTimestampMonotonic";

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

/** The fix where nothing listens: a unit that is active already has to be restarted. */
export async function startOf({ machine }: Context): Promise<{ fix?: string | null }> {
  const words = ["systemctl", "show", "-p", "LoadState,ActiveState", NODE_UNIT];
  const [unit] = parseShow((await machine.run(words, 1_000)).out);
  if (unit?.get("LoadState") !== "loaded") return { fix: null };
  return unit.get("ActiveState") === "active" ? { fix: "systemctl restart pve-cluster" } : {};
}

/** The command lines in the ExecStart that `systemctl show` prints. */
const COMMAND_LINES = /argv\[\]=(.*?) ; ignore_errors=/g;

/** Whether the examined service is the node's own: pve2, or a name in the command of its units. */
export function isOfNode({ machine, facts }: Context): Promise<boolean> {
  return facts.once("of node", async () => {
    if (facts.service === PVE_SERVICE) return true;
    const { out } = await machine.run(["systemctl", "show", "-p", "ExecStart", ...UNITS], 1_000);
    return [...out.matchAll(COMMAND_LINES)].some(([, line = ""]) => {
      return line.split(/[\s;='"]+/).includes(facts.service);
    });
  });
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

/** Whether systemd did not start it, because of a Condition of the unit. */
function wasSkipped(unit: Properties): boolean {
  return (
    unit.get("ConditionResult") === "no" && Number(unit.get("ConditionTimestampMonotonic")) > 0
  );
}

async function judge(context: Context, unit: Properties, listening: boolean): Promise<Finding[]> {
  const name = unit.get("Id") ?? "?";
  const load = unit.get("LoadState");
  const active = unit.get("ActiveState") ?? "?";
  if (load === "masked") return listening ? [] : [found("UNIT_MASKED", { unit: name })];
  if (load !== "loaded") return [];
  if (active === "failed") return [await unitFailed(context, name, unit.get("Result") ?? "?")];
  if (active !== "active") {
    const values = { unit: name, state: `${active} (${unit.get("SubState") ?? "?"})` };
    if (listening) return [];
    if (active === "activating") return [found("UNIT_STARTING", values)];
    return [found(wasSkipped(unit) ? "UNIT_SKIPPED" : "UNIT_INACTIVE", values)];
  }
  const count = Number(unit.get("NRestarts") ?? 0);
  if (count >= RESTARTS_LIMIT) {
    return [found("UNIT_RESTARTS", { unit: name, count, limit: RESTARTS_LIMIT })];
  }
  const since = unit.get("ActiveEnterTimestamp") ?? "";
  return [pass("unit", `${name} is active since ${since}, restarted ${counted(count, "time")}`)];
}

/** The newest `count` lines since the boot; none when there is no journal to read. */
async function journal(
  context: Context,
  units: readonly string[],
  count: number,
  more: readonly string[] = [],
): Promise<string[]> {
  const words = ["journalctl", "--no-pager", "-o", "cat", "-b", ...more, "-n", String(count)];
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

/** A server that is stopped writes these; what it wrote before is not why it does not run. */
const STOPPED = /teardown filesystem|exit proxmox configuration filesystem \(0\)/;

/** The last line by a service that does not serve, if its meaning is known. */
function known(lines: readonly string[], unit: string): Finding[] {
  for (const message of lines.toReversed()) {
    if (STOPPED.test(message)) return [];
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
    const listening = await facts.isServed();
    const words = ["systemctl", "show", "-p", PROPERTIES, ...UNITS];
    const shown = await machine.run(words, context.left());
    if (shown.missing) return [skip("unit", "systemctl is not installed")];
    if (shown.timedOut) return [skip("unit", "systemctl did not answer in time")];
    // In a chroot it succeeds, and shows nothing.
    const isShown = shown.code === 0 && shown.out.trim() !== "";
    if (!isShown) return [skip("unit", `systemctl: ${firstLine(shown.error)}`)];
    const units = servingUnits(parseShow(shown.out));
    const judged = await Promise.all(units.map((unit) => judge(context, unit, listening)));
    const findings = judged.flat();
    const daemons = [NODE_UNIT, "pvestatd.service"];
    const lines = await journal(context, daemons, 2000, ["--since", "-1h"]);
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
