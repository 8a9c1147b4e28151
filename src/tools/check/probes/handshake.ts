/** Connecting as a PVE client does: the set-up, the rings it gives, and who answered. */
import { Errno, errnoName, errnoText } from "../../../base/errno.ts";
import { QbFailure } from "../../../client/failure.ts";
import type { QbClient } from "../../../client/qb-client.ts";
import type { CodeName } from "../catalog/codes.ts";
import { type Finding, found, pass, skip } from "../finding.ts";
import { readRings } from "../rings.ts";
import type { ProcessInfo } from "../processes.ts";
import type { Context, Probe } from "../probe.ts";
import { buildInfo } from "../../../base/version.ts";
import { refusal, standing } from "./identity.ts";

/** What a ring directory may allow at most (libqb's own; ours allows less). */
const DIRECTORY_MODE_LIMIT = 0o770;

/** For advice; the word where the process of the server may not be seen. */
export async function serverPid({ facts }: Context): Promise<number | string> {
  return (await facts.server())?.owner?.pid ?? "PID";
}

async function refused(context: Context, failure: QbFailure): Promise<Finding> {
  const { facts } = context;
  const name = errnoName(failure.errno);
  const text = errnoText(failure.errno);
  if (failure.errno === Errno.ENOSPC) return found("SHM_FULL_FOR_CLIENT", { text });
  // The accept rule, here and in C (whose +1 is EPERM by its number): no other fault gives this.
  if (failure.errno === Errno.EPERM || failure.errno === Errno.EACCES) {
    facts.refused = true;
    return await refusal(context, await facts.identity(), "fail");
  }
  return found("HANDSHAKE_ERROR", { name, text, pid: await serverPid(context) });
}

async function failed(context: Context, failure: QbFailure): Promise<Finding> {
  const { options } = context;
  const { service } = options;
  const pid = await serverPid(context);
  switch (failure.kind) {
    case "absent":
      return found("SOCKET_ABSENT", { service });
    case "refused":
      return await refused(context, failure);
    case "files": {
      const path = context.machine.paths.shm;
      const values = { name: `${errnoName(failure.errno)} (${failure.message})`, path };
      return found("RINGS_NOT_OPENABLE", values);
    }
    case "garbage":
    case "size":
      return found("HANDSHAKE_GARBAGE", { service, detail: failure.message, pid });
    case "disconnected":
    case "vanished":
      return found("HANDSHAKE_CLOSED", { pid });
    case "timeout":
    case "busy":
      break;
  }
  return found("HANDSHAKE_HUNG", { service, deadline: options.deadlineMs, pid });
}

/**
 * A process that is no pmxcfs by its name and does not answer as a libqb server does: a stranger.
 * One that is stopped answers nothing whoever it is.
 */
export async function stranger({ facts }: Context): Promise<Finding[]> {
  const owner = (await facts.server())?.owner;
  if (owner === undefined || (await facts.serverKind()) !== "unknown") return [];
  if (owner.state === "T" || owner.state === "t" || owner.state === "D") return [];
  const { pid, command } = owner;
  return [found("SOCKET_TAKEN", { service: facts.service, pid, command, rival: "" })];
}

/** Failures that a pmxcfs does not have. */
const STRANGE: ReadonlySet<CodeName | undefined> = new Set([
  "HANDSHAKE_GARBAGE",
  "HANDSHAKE_CLOSED",
  "HANDSHAKE_HUNG",
]);

function octal(mode: number): string {
  return `0${mode.toString(8)}`;
}

async function rings({ machine }: Context): Promise<Finding[]> {
  const all = await readRings(machine.paths.shm, machine.paths.proc);
  const own = all.find((ring) => ring.clientPid === process.pid);
  if (own === undefined || (own.mode & ~DIRECTORY_MODE_LIMIT) === 0) return [];
  const limit = octal(DIRECTORY_MODE_LIMIT);
  return [found("RING_PERMISSIONS", { path: own.path, mode: octal(own.mode), limit })];
}

/** The version of the package that brings this server; undefined without dpkg. */
async function packageVersion(context: Context, name: string): Promise<string | undefined> {
  const query = ["dpkg-query", "-W", "-f", "${Version}", name];
  const { code, out } = await context.machine.run(query, context.left());
  return code === 0 && out !== "" ? out.trim() : undefined;
}

/** Our own version, when the server is the very program that asks. */
async function sameProgram({ machine }: Context, owner: ProcessInfo): Promise<string | undefined> {
  if (owner.command !== "pmxcfs-ipc") return undefined;
  const theirs = await machine.info(`${machine.paths.proc}/${owner.pid}/exe`);
  const ours = await machine.info(process.execPath);
  if (typeof theirs === "number" || typeof ours === "number") return undefined;
  return theirs.inode === ours.inode ? buildInfo.version : undefined;
}

async function whoAnswers(context: Context, client: QbClient): Promise<Finding[]> {
  const kind = await context.facts.serverKind();
  const { pid, uid, gid } = client.server;
  const who = `server pid ${pid}, uid ${uid}, gid ${gid}, rings of ${client.maxMessageBytes} bytes`;
  const owner = (await context.facts.server())?.owner;
  if (kind === "unknown") {
    const unknown = pass("handshake", `connected: ${who}`);
    if (owner === undefined) return [unknown];
    return [unknown, found("SERVER_UNKNOWN", { pid: owner.pid, command: owner.command })];
  }
  const known = owner === undefined ? undefined : await sameProgram(context, owner);
  const version =
    known ?? (await packageVersion(context, kind === "pmxcfs" ? "pve-cluster" : kind));
  return [pass("handshake", `connected to ${kind} ${version ?? "of unknown version"}: ${who}`)];
}

export const handshakeProbe: Probe = {
  check: "handshake",
  async run(context) {
    const { facts, session } = context;
    if ((await facts.server()) === undefined) return [skip("handshake", "nobody listens")];
    const client = await session.client(context.left());
    if (client instanceof QbFailure) {
      const finding = await failed(context, client);
      return STRANGE.has(finding.code) ? [finding, ...(await stranger(context))] : [finding];
    }
    facts.learnServer(client.server.pid);
    const identity = await facts.identity();
    const wwwData = await facts.group("www-data");
    const findings = [...(await whoAnswers(context, client)), ...(await rings(context))];
    const rule = standing(identity.uid, identity.gid, wwwData);
    if (identity.uid === 0 && rule === "refused") {
      const { gid } = identity;
      const group = (await facts.group(String(gid)))?.name ?? "no name";
      findings.push(found("ROOT_GID_UNUSUAL", { gid, group }));
    }
    return findings;
  },
};
