/** Memory pressure, descriptors of the server, and processes that the kernel does not let go. */
import { type Finding, found, pass, skip } from "../finding.ts";
import { hardLimit, parseKeys, pressure60, softLimit } from "../proc.ts";
import { descriptorCount, type ProcessInfo, readProcess, sleepCount } from "../processes.ts";
import type { Context, Probe } from "../probe.ts";

/** Share of the last minute in which all tasks waited for memory. */
const PRESSURE_PERCENT = 10;
const AVAILABLE_PERCENT = 5;
const DESCRIPTORS_PERCENT = 75;
const DESCRIPTORS_FAIL_PERCENT = 95;
/** What a limit is raised to, as far as the hard one lets it. */
const DESCRIPTORS = 65_536;

/** Processes sleep in state D for moments all the time: stuck is who still does after this. */
const STUCK_SAMPLE_MS = 300;
const PROCESSES_SHOWN = 8;

const KiB = 1024;

async function pressure({ machine }: Context): Promise<Finding> {
  const text = await machine.text(`${machine.paths.proc}/pressure/memory`);
  const percent = typeof text === "string" ? pressure60(text, "full") : undefined;
  if (percent === undefined) return skip("resources", "the kernel keeps no memory pressure");
  const limit = PRESSURE_PERCENT;
  const measures = [{ name: "memory_stalled", value: percent, unit: "percent", limit }] as const;
  if (percent >= limit) return found("MEMORY_PRESSURE", { percent, limit }, { measures });
  const line = `tasks were stalled on memory ${percent} % of the last minute`;
  return pass("resources", `${line} (limit ${limit} %)`, measures);
}

async function available({ machine }: Context): Promise<Finding[]> {
  const text = await machine.text(`${machine.paths.proc}/meminfo`);
  const keys = parseKeys(typeof text === "string" ? text : "");
  const total = Number.parseInt(keys.get("MemTotal") ?? "", 10);
  const free = Number.parseInt(keys.get("MemAvailable") ?? "", 10);
  if (!(total > 0) || Number.isNaN(free)) return [];
  const percent = Math.round((free / total) * 1000) / 10;
  if (percent >= AVAILABLE_PERCENT) return [];
  const values = { available: Math.round(free / KiB), total: Math.round(total / KiB) };
  return [found("MEMORY_LOW", { ...values, percent, limit: AVAILABLE_PERCENT })];
}

async function descriptors({ machine, facts }: Context): Promise<Finding[]> {
  const pid = (await facts.server())?.owner?.pid;
  if (pid === undefined) return [];
  const open = descriptorCount(machine.paths.proc, pid);
  const text = await machine.text(`${machine.paths.proc}/${pid}/limits`);
  const limit = typeof text === "string" ? softLimit(text, "Max open files") : undefined;
  if (open === undefined || limit === undefined || typeof text !== "string") {
    return [skip("resources", `the descriptors of pid ${pid} are not visible to this uid`)];
  }
  const percent = Math.round((open / limit) * 100);
  const measures = [{ name: "server_descriptors", value: open, unit: "", limit }] as const;
  if (percent < DESCRIPTORS_PERCENT) {
    return [pass("resources", `the server has ${open} of ${limit} descriptors open`, measures)];
  }
  const severity = percent < DESCRIPTORS_FAIL_PERCENT ? "warn" : "fail";
  const target = Math.min(hardLimit(text, "Max open files") ?? DESCRIPTORS, DESCRIPTORS);
  const values = { pid, open, percent, limit, target };
  const raised = target > limit ? {} : { fix: null };
  return [found("DESCRIPTORS_LOW", values, { measures, severity, ...raised })];
}

export const resourcesProbe: Probe = {
  check: "resources",
  async run(context) {
    return [
      await pressure(context),
      ...(await available(context)),
      ...(await descriptors(context)),
    ];
  },
};

async function describe({ machine }: Context, { pid, command }: ProcessInfo): Promise<string> {
  const wchan = await machine.text(`${machine.paths.proc}/${pid}/wchan`);
  const place = typeof wchan === "string" && wchan !== "" && wchan !== "0" ? ` in ${wchan}` : "";
  return `${pid} (${command}${place})`;
}

export const stuckProbe: Probe = {
  check: "stuck",
  async run(context) {
    const { machine, facts } = context;
    const server = (await facts.server())?.owner?.pid;
    const { proc } = machine.paths;
    const waiting = (await facts.processes()).filter(
      ({ state, kernel, pid }) => state === "D" && !kernel && pid !== server,
    );
    const before = new Map(waiting.map(({ pid }) => [pid, sleepCount(proc, pid)]));
    if (waiting.length > 0) await Bun.sleep(STUCK_SAMPLE_MS);
    const stuck = waiting.filter(({ pid, startTicks }) => {
      const again = readProcess(proc, pid);
      const same = again?.state === "D" && again.startTicks === startTicks;
      return same && sleepCount(proc, pid) === before.get(pid);
    });
    if (stuck.length === 0) return [pass("stuck", "no process sleeps uninterruptibly")];
    const shown = stuck.slice(0, PROCESSES_SHOWN).map((one) => describe(context, one));
    const list = (await Promise.all(shown)).join(", ");
    return [found("CLIENTS_STUCK", { count: stuck.length, list })];
  },
};
