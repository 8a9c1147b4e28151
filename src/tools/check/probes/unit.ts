/** The service as systemd sees it, and what it, and pvestatd, wrote into the journal. */
import { explain } from "../explain.ts";
import { type Finding, found, pass, skip } from "../finding.ts";
import { parseKeys } from "../proc.ts";
import type { Context, Probe } from "../probe.ts";

const UNITS = ["pve-cluster.service", "pmxcfs-ipc.service"];
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
  return [pass("unit", `${name} is active since ${since}, restarted ${count} times`)];
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

function counted(lines: readonly string[]): Finding[] {
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

/** systemd's own lines say that a service failed, which its state says as well. */
const SAYS_NOTHING_NEW = "service-failed";

/** The last line of a service that does not serve, when it is one with a known meaning. */
function known(lines: readonly string[], unit: string): Finding[] {
  for (const message of lines.toReversed()) {
    const told = explain(message).find(({ text }) => text.id !== SAYS_NOTHING_NEW);
    if (told === undefined) continue;
    const { meaning } = told.text;
    const details = lines.slice(-LINES_SHOWN);
    return [found("LOG_ERROR", { unit, message, meaning }, { details })];
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
    const findings = parseShow(shown.out).flatMap((unit) => judge(unit, listening));
    const lines = await journal(context, ["pve-cluster.service", "pvestatd.service"], 2000);
    const own = listening ? [] : await journal(context, UNITS, 40);
    const all = [...findings, ...counted(lines), ...known(own, "pve-cluster.service")];
    return all.length > 0 ? all : [skip("unit", `neither ${UNITS.join(" nor ")} is installed`)];
  },
};

function firstLine(text: string): string {
  return text.trim().split("\n")[0] ?? "";
}
