/** /etc/pve: mounted, answering, writable. Only children touch the mount: it may hang. */
import { type Finding, found, pass, skip } from "../finding.ts";
import { type Mount, parseMounts } from "../proc.ts";
import type { Context, Probe } from "../probe.ts";

/** PVE's own rule for quorum: the owner's write bit of /etc/pve/local (Cluster.pm). */
const WRITE_BIT = 0o200;

/** Names shown of a directory that should be empty. */
const NAMES_SHOWN = 5;

async function mounted(context: Context, mount: Mount): Promise<Finding[]> {
  const { machine, options } = context;
  const path = machine.paths.pve;
  const asked = await machine.run(["stat", "-f", "-c", "%T", path], context.left());
  if (asked.timedOut) return [found("PVE_HUNG", { path, deadline: options.deadlineMs })];
  if (asked.error.includes("not connected")) return [found("PVE_DEAD_MOUNT", { path })];
  if (mount.readOnly) return [found("PVE_READ_ONLY", { path, mode: "ro (mount option)" })];
  const local = await machine.run(["stat", "-c", "%a", `${path}/local`], context.left());
  if (local.timedOut) return [found("PVE_HUNG", { path, deadline: options.deadlineMs })];
  if (local.code !== 0) {
    return [pass("mount", `${path} is mounted (${mount.type}) and answers`)];
  }
  const mode = local.out.trim();
  if ((Number.parseInt(mode, 8) & WRITE_BIT) === 0) {
    return [found("PVE_READ_ONLY", { path, mode })];
  }
  return [pass("mount", `${path} is mounted (${mount.type}), answers and is writable`)];
}

async function unmounted({ machine, facts }: Context): Promise<Finding[]> {
  const path = machine.paths.pve;
  const kind = await facts.serverKind();
  const names = await machine.list(path);
  if (kind === "pmxcfs-ipc") {
    const what = typeof names === "number" ? "is not there" : "is a plain directory";
    return [pass("mount", `${path} ${what}: pmxcfs-ipc does not need it`)];
  }
  const owner = (await facts.server())?.owner;
  if (kind === "pmxcfs" && owner !== undefined) {
    return [found("PVE_NOT_MOUNTED", { path, pid: owner.pid })];
  }
  if (typeof names !== "number" && names.length > 0) {
    const list = names.toSorted().slice(0, NAMES_SHOWN).join(", ");
    const more = names.length > NAMES_SHOWN ? ", ..." : "";
    return [found("PVE_NOT_EMPTY", { path, list: `${list}${more}` })];
  }
  return [skip("mount", `${path} is not mounted, and no pmxcfs runs`)];
}

async function device({ machine, facts }: Context): Promise<Finding[]> {
  const path = machine.paths.fuseDevice;
  const needed = machine.has("pmxcfs") || (await facts.serverKind()) === "pmxcfs";
  if (!needed || typeof (await machine.info(path)) !== "number") return [];
  return [found("FUSE_MISSING", { path })];
}

export const mountProbe: Probe = {
  check: "mount",
  async run(context) {
    const { machine } = context;
    const text = await machine.text(`${machine.paths.proc}/self/mountinfo`);
    const mounts = parseMounts(typeof text === "string" ? text : "");
    const mount = mounts.findLast(({ point }) => point === machine.paths.pve);
    const fuse = mount?.type.startsWith("fuse") === true;
    const findings = mount && fuse ? await mounted(context, mount) : await unmounted(context);
    return [...findings, ...(await device(context))];
  },
};
