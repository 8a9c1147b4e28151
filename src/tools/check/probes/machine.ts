/**
 * The machine of the server: room in /dev/shm and in /run, leftovers of dead servers, memory
 * pressure, descriptors of the server, and processes in uninterruptible sleep.
 */
import { counted } from "../../../base/counted.ts";
import { Errno, errnoText } from "../../../base/errno.ts";
import { type DeadRings, deadRings, unknownRings } from "../rings.ts";
import { type Finding, found, pass, shellQuote, skip } from "../finding.ts";
import type { Space } from "../host.ts";
import type { Context, Probe } from "../probe.ts";
import {
  type ProcessInfo,
  descriptorCount,
  hardLimit,
  parseKeys,
  parseMounts,
  pressure60,
  readProcess,
  sleepCount,
  softLimit,
} from "../proc.ts";

const MiB = 1024 * 1024;
const PAGE = 4096;

/** Bytes for one PVE client: three rings, each a header of 8252 bytes and 1 MiB + 13 of data. */
export const CLIENT_BYTES = 3 * (roundUp(8252) + roundUp(MiB + 13));
/** A directory and six files. */
const CLIENT_INODES = 7;
/** What the fix sets as the bound on inodes: nr_inodes=1m. */
const USUAL_INODES = 1024 * 1024;

/** A busy node has about forty clients; room for fewer than this is too little. */
const CLIENTS_LOW = 50;

/** statfs(2): tmpfs and ramfs. */
const MEMORY_TYPES = new Set([0x01021994, 0x858458f6]);

function roundUp(bytes: number): number {
  return Math.ceil(bytes / PAGE) * PAGE;
}

function mib(bytes: number): number {
  return Math.round((bytes / MiB) * 10) / 10;
}

/** The fix where so many inodes are in use that the kernel would refuse the usual bound. */
function raisedInodes(path: string, used: number): { fix?: string } {
  if (used < USUAL_INODES / 2) return {};
  return { fix: `mount -o remount,nr_inodes=${used + USUAL_INODES} ${shellQuote(path)}` };
}

/**
 * `isTmpfs`: the path is a tmpfs of its own, whose size a remount changes. One without a bound on
 * its size reports 0 of 0, as ramfs does.
 */
function room(path: string, space: Space, isTmpfs: boolean): Finding {
  const fix = isTmpfs ? {} : { fix: null };
  const isBounded = space.sizeBytes > 0;
  const byBytes = isBounded ? Math.floor(space.freeBytes / CLIENT_BYTES) : Infinity;
  // A tmpfs without a bound on inodes reports 0 of 0.
  const byInodes = space.inodes === 0 ? byBytes : Math.floor(space.freeInodes / CLIENT_INODES);
  const clients = Math.min(byBytes, byInodes);
  if (clients === Infinity) return pass("memory", `${path} has no limit`);
  const measures = [
    { name: "shm_free_clients", value: clients, unit: "", limit: CLIENTS_LOW, low: true },
    { name: "shm_free_bytes", value: space.freeBytes, unit: "bytes" },
    { name: "shm_size_bytes", value: space.sizeBytes, unit: "bytes" },
  ] as const;
  const free = mib(space.freeBytes);
  const size = mib(space.sizeBytes);
  // Room for the current content, and for twice as many clients as the limit.
  const used = space.sizeBytes - space.freeBytes;
  const target = Math.ceil(mib(used + 2 * CLIENTS_LOW * CLIENT_BYTES) / 128) * 128;
  if (clients < 1 && byBytes < 1) {
    return found("SHM_FULL", { path, free, size, clients, limit: 1, target }, { measures, ...fix });
  }
  if (byInodes < CLIENTS_LOW && byInodes < byBytes) {
    const values = { free: space.freeInodes, total: space.inodes, clients: byInodes };
    const severity = byInodes < 1 ? "fail" : "warn";
    const all = { path, ...values, limit: CLIENTS_LOW };
    const more = raisedInodes(path, space.inodes - space.freeInodes);
    return found("SHM_INODES_LOW", all, { measures, severity, ...more, ...fix });
  }
  if (byBytes < CLIENTS_LOW) {
    const values = { path, free, size, clients, limit: CLIENTS_LOW, target };
    return found("SHM_LOW", values, { measures, ...fix });
  }
  const more = counted(clients, "more client");
  const bytes = isBounded ? `${free} of ${size} MiB` : `${space.freeInodes} inodes`;
  const line = `${path}: ${bytes} free, room for ${more}`;
  return pass("memory", `${line} (limit ${CLIENTS_LOW})`, measures);
}

async function mountOf({ machine }: Context, path: string) {
  const text = await machine.text(`${machine.paths.proc}/self/mountinfo`);
  return parseMounts(typeof text === "string" ? text : "").findLast(({ point }) => point === path);
}

export const memoryProbe: Probe = {
  check: "memory",
  async run(context) {
    const { machine } = context;
    const path = machine.paths.shm;
    const info = await machine.info(path);
    if (typeof info === "number" || info.kind !== "directory") {
      const reason = errnoText(typeof info === "number" ? info : Errno.ENOTDIR);
      return [found("SHM_MISSING", { path, reason })];
    }
    const space = await machine.space(path);
    if (typeof space === "number") {
      return [found("SHM_MISSING", { path, reason: errnoText(space) })];
    }
    const mount = await mountOf(context, path);
    if (mount?.readOnly === true) return [found("SHM_READ_ONLY", { path })];
    const findings = [room(path, space, mount?.type === "tmpfs")];
    if (!MEMORY_TYPES.has(space.type)) {
      const type = mount?.type ?? "part of another file system";
      findings.push(found("SHM_NOT_TMPFS", { path, type }));
    }
    return findings;
  },
};

function stale({ machine, facts: { service } }: Context, { count, bytes }: DeadRings): Finding[] {
  if (count === 0) return [];
  const measures = [{ name: "stale_bytes", value: bytes, unit: "bytes" }] as const;
  const values = { count, size: mib(bytes), path: machine.paths.shm, service };
  return [found("SHM_STALE", values, { measures })];
}

function foreign({ count, bytes, services }: DeadRings): Finding[] {
  if (count === 0) return [];
  const list = services.length === 0 ? "unknown" : services.join(", ");
  return [found("SHM_STALE_FOREIGN", { count, size: mib(bytes), services: list })];
}

export const leftoversProbe: Probe = {
  check: "leftovers",
  async run(context) {
    const { machine, facts } = context;
    const rings = await facts.rings();
    if (typeof (await machine.list(machine.paths.shm)) === "number") {
      return [skip("leftovers", `${machine.paths.shm} cannot be listed`)];
    }
    const dead = deadRings(rings, facts.service);
    const bad = [...stale(context, dead.ours), ...foreign(dead.foreign)];
    if (bad.length > 0) return bad;
    const unknown = unknownRings(rings, facts.service).length;
    const more = unknown === 0 ? "" : `; ${unknown} of servers that cannot be seen from here`;
    const live = rings.length - unknown;
    return [
      pass(
        "leftovers",
        `no leftovers in ${machine.paths.shm}; ${counted(live, "ring directory")} in use${more}`,
      ),
    ];
  },
};

/** Share of the last minute in which all tasks waited for memory. */
const PRESSURE_PERCENT = 10;
const AVAILABLE_PERCENT = 5;
const DESCRIPTORS_PERCENT = 75;
const DESCRIPTORS_FAIL_PERCENT = 95;
/** What a limit is raised to, as far as the hard limit permits. */
const DESCRIPTORS = 65_536;

/** Processes are in state D for moments all the time: one that still is after this is stuck. */
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

/** Memory that the cache of ZFS gives back when it is needed, which MemAvailable does not count. */
async function cacheKib({ machine }: Context): Promise<number> {
  const text = await machine.text(`${machine.paths.proc}/spl/kstat/zfs/arcstats`);
  const [size = 0, least = 0] = ["size", "c_min"].map((name) => {
    const row = new RegExp(`^${name} +\\d+ +(\\d+)$`, "m").exec(String(text));
    return Number(row?.[1] ?? 0);
  });
  return Math.max(0, size - least) / KiB;
}

async function available(context: Context): Promise<Finding[]> {
  const { machine } = context;
  const text = await machine.text(`${machine.paths.proc}/meminfo`);
  const keys = parseKeys(typeof text === "string" ? text : "");
  const total = Number.parseInt(keys.get("MemTotal") ?? "", 10);
  const free = Number.parseInt(keys.get("MemAvailable") ?? "", 10) + (await cacheKib(context));
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

/** Limits of room in /run: a start writes pid files and makes sockets, systemd keeps its state. */
const RUN_LIMIT_BYTES = MiB;
const RUN_INODES_LIMIT = 100;
/** Room that the fix makes. */
const RUN_MORE_BYTES = 64 * MiB;

/** Room in /run. The fix for a tmpfs of its own raises both bounds; 0 is a tmpfs without one. */
async function runRoom(context: Context): Promise<Finding[]> {
  const { machine } = context;
  const path = machine.paths.run;
  const space = await machine.space(path);
  if (typeof space === "number") return [];
  const { sizeBytes, rootFreeBytes, inodes, freeInodes } = space;
  const isLow = sizeBytes > 0 && rootFreeBytes < RUN_LIMIT_BYTES;
  const hasFew = inodes > 0 && freeInodes < RUN_INODES_LIMIT;
  if (!isLow && !hasFew) return [];
  const raised = Math.max(sizeBytes, sizeBytes - rootFreeBytes + RUN_MORE_BYTES);
  const target = sizeBytes === 0 ? 0 : Math.ceil(raised / MiB);
  const nodes = inodes === 0 ? 0 : Math.max(inodes, inodes - freeInodes + USUAL_INODES);
  const free = isLow ? `${mib(rootFreeBytes)} of ${mib(sizeBytes)} MiB` : `${freeInodes} inodes`;
  const limit = isLow ? `${mib(RUN_LIMIT_BYTES)} MiB` : RUN_INODES_LIMIT;
  const isFull = (isLow && rootFreeBytes < PAGE) || (hasFew && freeInodes === 0);
  const isTmpfs = (await mountOf(context, path))?.type === "tmpfs";
  const severity = isFull ? "fail" : "warn";
  const fix = isTmpfs ? {} : { fix: null };
  return [found("RUN_FULL", { path, free, limit, target, nodes }, { severity, ...fix })];
}

export const resourcesProbe: Probe = {
  check: "resources",
  async run(context) {
    return [
      await pressure(context),
      ...(await available(context)),
      ...(await runRoom(context)),
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
