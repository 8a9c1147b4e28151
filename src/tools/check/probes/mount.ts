/**
 * /etc/pve: mounted once, alive, answering, writable; and processes that still see an old, dead
 * mount. Only children touch the mount, because it may hang.
 */
import { Errno } from "../../../base/errno.ts";
import { type Finding, found, pass, skip } from "../finding.ts";
import type { Context, Probe } from "../probe.ts";
import { type Mount, type ProcessInfo, parseMounts, workingDirectory } from "../proc.ts";

/** PVE's own rule for quorum: the owner's write bit of /etc/pve/local (Cluster.pm). */
const WRITE_BIT = 0o200;

/** Names shown of a directory that should be empty, and processes of a list. */
const NAMES_SHOWN = 5;

/** A stat, with the start of a child, takes far less on an idle machine. */
const SLOW_MS = 1_000;

/** Other mount namespaces that are checked: a host with many containers has some hundred. */
const NAMESPACES_LOOKED_AT = 500;

function isFuse({ type }: Mount): boolean {
  return type === "fuse" || type.startsWith("fuse.");
}

function named({ pid, command }: ProcessInfo): string {
  return `${pid} (${command})`;
}

/** Processes whose working directory is inside the mount: they prevent a new one at its path. */
async function inside({ machine, facts }: Context): Promise<string> {
  const { pve, proc } = machine.paths;
  const list = (await facts.processes()).filter(({ pid }) => {
    const place = workingDirectory(proc, pid);
    return place === pve || place.startsWith(`${pve}/`);
  });
  if (list.length === 0) return "";
  const more = list.length > NAMES_SHOWN ? ", ..." : "";
  return `; inside: ${list.slice(0, NAMES_SHOWN).map(named).join(", ")}${more}`;
}

async function dead(context: Context): Promise<Finding> {
  const values = { path: context.machine.paths.pve, inside: await inside(context) };
  return found("PVE_DEAD_MOUNT", values);
}

async function writable(context: Context, mount: Mount): Promise<Finding> {
  const { machine, options } = context;
  const path = machine.paths.pve;
  if (mount.readOnlyHere) {
    const namespace = await machine.link(`${machine.paths.proc}/self/ns/mnt`);
    return found("PVE_NAMESPACE_READ_ONLY", { path, namespace });
  }
  if (mount.readOnly) return found("PVE_REMOUNTED_READ_ONLY", { path });
  const local = await machine.run(["stat", "-c", "%a", `${path}/local`], context.left());
  if (local.timedOut) return found("PVE_HUNG", { path, deadline: options.deadlineMs });
  if (local.code !== 0) return pass("mount", `${path} is mounted (${mount.type}) and answers`);
  const mode = local.out.trim();
  if ((Number.parseInt(mode, 8) & WRITE_BIT) === 0) return found("PVE_READ_ONLY", { path, mode });
  return pass("mount", `${path} is mounted (${mount.type}), answers and is writable`);
}

/** Whether a second stat is slow as well, compared to a child that touches no file system. */
async function isSlowAgain(context: Context): Promise<boolean> {
  const { machine } = context;
  const times: number[] = [];
  for (const words of [["true"], ["stat", "-f", machine.paths.pve]]) {
    const started = performance.now();
    await machine.run(words, context.left());
    times.push(performance.now() - started);
  }
  const [child = 0, stat = 0] = times;
  return stat - child >= SLOW_MS / 2;
}

async function mounted(context: Context, mount: Mount): Promise<Finding[]> {
  const { machine, facts, options } = context;
  const path = machine.paths.pve;
  const started = performance.now();
  const asked = await machine.run(["stat", "-f", "-c", "%T", path], context.left());
  const ms = Math.round(performance.now() - started);
  if (asked.timedOut) return [found("PVE_HUNG", { path, deadline: options.deadlineMs })];
  if (asked.error.includes("not connected")) return [await dead(context)];
  if (asked.code !== 0) return [skip("mount", `${path}: ${asked.error.trim() || "stat failed"}`)];
  const findings: Finding[] = [await writable(context, mount)];
  if (ms >= SLOW_MS && (await isSlowAgain(context))) {
    findings.push(found("PVE_SLOW", { path, ms, limit: SLOW_MS }));
  }
  const isAbsent = !(await facts.isServed()) && (await facts.seesListeners());
  if (isAbsent && (await facts.listeners()).length === 0) {
    findings.push(found("PVE_WITHOUT_SERVER", { path, service: facts.service }));
  }
  return findings;
}

/** Whether this process is the service's own, which `systemctl restart` replaces. */
async function isUnitOf({ machine }: Context, pid: number): Promise<boolean> {
  const group = await machine.text(`${machine.paths.proc}/${pid}/cgroup`);
  return typeof group === "string" && group.includes("/pve-cluster.service");
}

/** Whether a server of ours was started to mount this path: `--mount`, with or without it. */
async function isToMount({ facts }: Context, path: string): Promise<boolean> {
  const words = await facts.serverWords();
  const at = words.findIndex((word) => /^--mount(=|$)/.test(word));
  if (at < 0) return false;
  const given = words[at]?.split("=")[1] ?? words[at + 1] ?? "";
  return given === path || !given.startsWith("/");
}

async function unmounted(context: Context): Promise<Finding[]> {
  const { machine, facts } = context;
  const path = machine.paths.pve;
  const kind = await facts.serverKind();
  const names = await machine.list(path);
  // Hidden from mountinfo (hidepid, a broken /proc), and a dead mount all the same.
  if (names === Errno.ENOTCONN) return [await dead(context)];
  const table = `${machine.paths.proc}/self/mountinfo`;
  if (typeof (await machine.text(table)) === "number") {
    return [skip("mount", `${table} cannot be read`)];
  }
  const mounts = kind === "pmxcfs" || (await isToMount(context, path));
  if (kind === "pmxcfs-ipc" && !mounts) {
    const what = typeof names === "number" ? "is not there" : "is a plain directory";
    return [pass("mount", `${path} ${what}: pmxcfs-ipc does not need it`)];
  }
  const owner = (await facts.server())?.owner;
  if (mounts && owner !== undefined) {
    const fixable = await isUnitOf(context, owner.pid);
    const values = { path, pid: owner.pid };
    return [found("PVE_NOT_MOUNTED", values, fixable ? {} : { fix: null })];
  }
  if (typeof names !== "number" && names.length > 0) {
    const list = names.toSorted().slice(0, NAMES_SHOWN).join(", ");
    const more = names.length > NAMES_SHOWN ? ", ..." : "";
    return [found("PVE_NOT_EMPTY", { path, list: `${list}${more}` })];
  }
  return [skip("mount", `${path} is not mounted, and no pmxcfs runs`)];
}

/** Several file systems on one mount point; bind mounts of the same one do not count. */
function twice(path: string, mounts: readonly Mount[]): Finding[] {
  const devices = new Set(mounts.map((mount) => mount.device));
  if (devices.size < 2) return [];
  const list = mounts.map(({ type, source }) => `${type} (${source})`).join(", ");
  return [found("PVE_MOUNTED_TWICE", { path, count: mounts.length, list })];
}

async function fuseDevice({ machine, facts }: Context): Promise<Finding[]> {
  const path = machine.paths.fuseDevice;
  const needed = machine.has("pmxcfs") || (await facts.serverKind()) === "pmxcfs";
  if (!needed || typeof (await machine.info(path)) !== "number") return [];
  return [found("FUSE_MISSING", { path })];
}

async function mountsOf({ machine }: Context, pid: number | "self"): Promise<Mount[]> {
  const text = await machine.text(`${machine.paths.proc}/${pid}/mountinfo`);
  return parseMounts(typeof text === "string" ? text : "");
}

/** One process of each mount namespace that is not ours. */
async function otherNamespaces({ machine, facts }: Context): Promise<Map<string, ProcessInfo[]>> {
  const { proc } = machine.paths;
  const own = await machine.link(`${proc}/self/ns/mnt`);
  const namespaces = new Map<string, ProcessInfo[]>();
  for (const process of await facts.processes()) {
    if (process.kernel) continue;
    const namespace = await machine.link(`${proc}/${process.pid}/ns/mnt`);
    if (typeof namespace === "number" || namespace === own) continue;
    const known = namespaces.get(namespace);
    if (known !== undefined) known.push(process);
    else if (namespaces.size < NAMESPACES_LOOKED_AT) namespaces.set(namespace, [process]);
  }
  return namespaces;
}

/**
 * Processes of other mount namespaces in which /etc/pve (a mount point that ends in this path, as
 * in a container) is an old FUSE file system whose server has ended.
 */
async function heldElsewhere(context: Context, present: readonly Mount[]): Promise<Finding[]> {
  const { machine } = context;
  const { pve, proc } = machine.paths;
  const live = new Set(present.map((mount) => mount.device));
  const holders: ProcessInfo[] = [];
  for (const processes of (await otherNamespaces(context)).values()) {
    const [first] = processes;
    if (first === undefined) continue;
    const old = (await mountsOf(context, first.pid)).find((mount) => {
      return isFuse(mount) && mount.point.endsWith(pve) && !live.has(mount.device);
    });
    if (old === undefined) continue;
    const place = `${proc}/${first.pid}/root${old.point}`;
    const asked = await machine.run(["stat", "-f", "-c", "%T", place], context.left() / 2);
    if (asked.error.includes("not connected")) holders.push(...processes);
  }
  const [first] = holders;
  if (first === undefined) return [];
  const more = holders.length > NAMES_SHOWN ? ", ..." : "";
  const list = `${holders.slice(0, NAMES_SHOWN).map(named).join(", ")}${more}`;
  const values = { path: pve, count: holders.length, list, pid: first.pid };
  return [found("PVE_OLD_MOUNT_HELD", values)];
}

export const mountProbe: Probe = {
  check: "mount",
  async run(context) {
    const path = context.machine.paths.pve;
    const mounts = (await mountsOf(context, "self")).filter(({ point }) => point === path);
    const mount = mounts.at(-1);
    const findings =
      mount === undefined
        ? await unmounted(context)
        : isFuse(mount)
          ? await mounted(context, mount)
          : [skip("mount", `${path} is a mount of type ${mount.type}, not pmxcfs's`)];
    return [
      ...findings,
      ...twice(path, mounts),
      ...(await heldElsewhere(context, mounts)),
      ...(await fuseDevice(context)),
    ];
  },
};
