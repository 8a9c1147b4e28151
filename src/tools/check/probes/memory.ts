/** /dev/shm: is there room for clients, and what did dead servers leave. */
import { Errno, errnoText } from "../../../base/errno.ts";
import { type Finding, found, pass, skip } from "../finding.ts";
import type { Space } from "../host.ts";
import { parseMounts } from "../proc.ts";
import type { Context, Probe } from "../probe.ts";
import { deadRings, type DeadRings, seesAllProcesses } from "../cleanup.ts";

const MiB = 1024 * 1024;
const PAGE = 4096;

/** What one PVE client takes: three rings, each a header of 8252 bytes and 1 MiB + 13 of data. */
export const CLIENT_BYTES = 3 * (roundUp(8252) + roundUp(MiB + 13));
/** A directory and six files. */
const CLIENT_INODES = 7;

/** A busy node has some forty clients; fewer than this is too few. */
const CLIENTS_LOW = 50;

/** statfs(2): tmpfs and ramfs. */
const MEMORY_TYPES = new Set([0x01021994, 0x858458f6]);

function roundUp(bytes: number): number {
  return Math.ceil(bytes / PAGE) * PAGE;
}

function mib(bytes: number): number {
  return Math.round((bytes / MiB) * 10) / 10;
}

function room(path: string, space: Space): Finding {
  const byBytes = Math.floor(space.freeBytes / CLIENT_BYTES);
  // A tmpfs without a bound on inodes says 0 of 0.
  const byInodes = space.inodes === 0 ? byBytes : Math.floor(space.freeInodes / CLIENT_INODES);
  const clients = Math.min(byBytes, byInodes);
  const measures = [
    { name: "shm_free_clients", value: clients, unit: "", limit: CLIENTS_LOW, low: true },
    { name: "shm_free_bytes", value: space.freeBytes, unit: "bytes" },
    { name: "shm_size_bytes", value: space.sizeBytes, unit: "bytes" },
  ] as const;
  const free = mib(space.freeBytes);
  const size = mib(space.sizeBytes);
  // Room for what is there, and for twice as many clients as the limit.
  const used = space.sizeBytes - space.freeBytes;
  const target = Math.ceil(mib(used + 2 * CLIENTS_LOW * CLIENT_BYTES) / 128) * 128;
  if (clients < 1 && byBytes < 1) {
    return found("SHM_FULL", { path, free, size, clients, limit: 1, target }, { measures });
  }
  if (byInodes < CLIENTS_LOW && byInodes < byBytes) {
    const values = { free: space.freeInodes, total: space.inodes, clients: byInodes };
    const severity = byInodes < 1 ? "fail" : "warn";
    const all = { path, ...values, limit: CLIENTS_LOW };
    return found("SHM_INODES_LOW", all, { measures, severity });
  }
  if (byBytes < CLIENTS_LOW) {
    const values = { path, free, size, clients, limit: CLIENTS_LOW, target };
    return found("SHM_LOW", values, { measures });
  }
  const line = `${path}: ${free} of ${size} MiB free, room for ${clients} more clients`;
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
    const findings = [room(path, space)];
    if (!MEMORY_TYPES.has(space.type)) {
      const type = mount?.type ?? "part of another file system";
      findings.push(found("SHM_NOT_TMPFS", { path, type }));
    }
    return findings;
  },
};

async function stale(
  { machine, facts: { service } }: Context,
  { count, bytes }: DeadRings,
): Promise<Finding[]> {
  if (count === 0) return [];
  const measures = [{ name: "stale_bytes", value: bytes, unit: "bytes" }] as const;
  const values = { count, size: mib(bytes), path: machine.paths.shm, service };
  const fixable = await seesAllProcesses(machine);
  return [found("SHM_STALE", values, fixable ? { measures } : { measures, fix: null })];
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
    const bad = [...(await stale(context, dead.ours)), ...foreign(dead.foreign)];
    if (bad.length > 0) return bad;
    const live = rings.length;
    return [pass("leftovers", `no leftovers in ${machine.paths.shm}; ${live} rings in use`)];
  },
};
