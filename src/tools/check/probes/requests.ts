/**
 * Connecting as a PVE client does: the set-up, its rings, and the program that answered; then each
 * request that only reads: answered, in time, of a size that clients accept, and well-formed.
 */
import { counted } from "../../../base/counted.ts";
import { jsonText } from "../../../base/escape.ts";
import { Errno, errnoName, errnoText } from "../../../base/errno.ts";
import { PVE_MESSAGE_BYTES } from "../../../base/limits.ts";
import { QbFailure } from "../../../client/failure.ts";
import { type QbClient } from "../../../client/qb-client.ts";
import type { CodeName } from "../../diagnosis/codes.ts";
import { type Finding, found, pass, skip } from "../finding.ts";
import type { Context, Probe } from "../probe.ts";
import { readRings } from "../rings.ts";
import { type Answer, READS, type Read, isRecord, parseJson } from "../session.ts";
import { refusal, standing } from "./identity.ts";
import { absent } from "./listener.ts";
import { programOf } from "./program.ts";

/** The most that a ring directory may permit (libqb's own mode; ours permits less). */
const DIRECTORY_MODE_LIMIT = 0o770;

/** The pid for a piece of advice; the word PID where the server's process may not be seen. */
export async function serverPid({ facts }: Context): Promise<number | string> {
  return (await facts.server())?.owner?.pid ?? "PID";
}

async function refused(context: Context, failure: QbFailure): Promise<Finding> {
  const { facts } = context;
  const name = errnoName(failure.errno);
  const text = errnoText(failure.errno);
  if (failure.errno === Errno.ENOSPC) return found("SHM_FULL_FOR_CLIENT", { text });
  // Only the access rule gives this errno, here and in C (whose +1 is EPERM by its number).
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
      return await absent(context);
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
 * A process that neither has pmxcfs's name nor answers as a libqb server does: a stranger. A
 * stopped process answers nothing, and proves nothing.
 */
async function stranger({ facts }: Context): Promise<Finding[]> {
  const owner = (await facts.server())?.owner;
  if (owner === undefined || (await facts.serverKind()) !== "unknown") return [];
  if (owner.state === "T" || owner.state === "t" || owner.state === "D") return [];
  const { pid, command } = owner;
  return [found("SOCKET_TAKEN", { service: facts.service, pid, command, rival: "" })];
}

/** Failures that a pmxcfs does not cause. */
const STRANGE: ReadonlySet<CodeName | undefined> = new Set([
  "HANDSHAKE_GARBAGE",
  "HANDSHAKE_CLOSED",
  "HANDSHAKE_HUNG",
]);

function octal(mode: number): string {
  return `0${mode.toString(8)}`;
}

async function rings({ machine }: Context): Promise<Finding[]> {
  const all = await readRings(machine.paths);
  const own = all.find((ring) => ring.clientPid === process.pid);
  if (own === undefined || (own.mode & ~DIRECTORY_MODE_LIMIT) === 0) return [];
  const limit = octal(DIRECTORY_MODE_LIMIT);
  return [found("RING_PERMISSIONS", { path: own.path, mode: octal(own.mode), limit })];
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
  const { name, version, isReplaced } = await programOf(context, kind, owner);
  const seen = pass("handshake", `connected to ${name} ${version ?? "of unknown version"}: ${who}`);
  if (!isReplaced || owner === undefined) return [seen];
  const runs = version === undefined ? "" : ` (version ${version})`;
  return [seen, found("SERVER_REPLACED", { pid: owner.pid, program: name, runs })];
}

export const handshakeProbe: Probe = {
  check: "handshake",
  async run(context) {
    const { facts, session } = context;
    // Where the listeners cannot be seen, the connect shows whether there is one.
    if ((await facts.server()) === undefined && (await facts.seesListeners())) {
      return [skip("handshake", "no listener")];
    }
    const client = await session.client(context.left());
    if (client instanceof QbFailure) {
      if (client.kind !== "absent") facts.learnServer(0);
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

/** A reply that takes this share of a client's buffer is a warning. */
const LARGE_PERCENT = 75;

/** With less time left of that for all checks, no further request is made. */
const LEAST_MS = 1_000;

/** Characters shown of a reply that is not JSON. */
const SAMPLE_CHARS = 40;

function measure({ name: request }: Read, { bytes, ms }: Answer) {
  return [
    { name: "reply_seconds", request, value: ms / 1000, unit: "s" },
    { name: "reply_bytes", request, value: bytes, unit: "bytes", limit: PVE_MESSAGE_BYTES },
  ] as const;
}

function judgeSize(read: Read, answer: Answer): Finding | undefined {
  const limit = PVE_MESSAGE_BYTES;
  const { bytes } = answer;
  const measures = measure(read, answer);
  const values = { request: read.name, call: read.call, bytes, limit };
  if (bytes > limit) return found("REPLY_TOO_LARGE", values, { measures });
  const percent = Math.floor((bytes / limit) * 100);
  if (percent < LARGE_PERCENT) return undefined;
  return found("REPLY_LARGE", { ...values, percent }, { measures });
}

async function judge(context: Context, read: Read, answer: Answer): Promise<Finding> {
  const { error, body } = answer;
  const request = read.name;
  const known = read.mayFail.some((errno) => errno === error);
  if ((error !== 0 && !known) || (error === 0 && read.mustFail === true)) {
    const name = error === 0 ? "success" : errnoName(error);
    return found("REQUEST_ERROR", { request, name, text: errnoText(error) });
  }
  if (error === 0 && read.reply === "json" && body.length === 0) {
    return found("REPLY_EMPTY", { request, pid: await serverPid(context) });
  }
  if (error === 0 && read.reply === "json" && !isRecord(parseJson(body))) {
    const detail = `it begins ${jsonText(body.toString("latin1", 0, SAMPLE_CHARS))}`;
    return found("REPLY_NOT_JSON", { request, detail, call: read.call });
  }
  const size = judgeSize(read, answer);
  if (size !== undefined) return size;
  const what = error === 0 ? `${answer.bytes} bytes` : `${errnoName(error)}, as it should`;
  const line = `${request}: ${what} in ${answer.ms.toFixed(2)} ms`;
  return pass("requests", line, measure(read, answer));
}

/** The connection ended instead of an answer: finds out whether the reply was too large for it. */
async function ended(context: Context, read: Read): Promise<Finding> {
  context.session.reconnect();
  const again = await context.session.readLarge(read, context.left());
  if (again instanceof QbFailure) {
    if (again.kind === "absent") context.session.giveUp("the server is gone");
    return found("REQUEST_DISCONNECTED", { request: read.name });
  }
  return judgeSize(read, again) ?? found("REQUEST_DISCONNECTED", { request: read.name });
}

async function unanswered(context: Context, read: Read, failure: QbFailure): Promise<Finding> {
  const request = read.name;
  const pid = await serverPid(context);
  switch (failure.kind) {
    case "timeout":
    case "busy":
      return found("REQUEST_HUNG", { request, deadline: context.options.deadlineMs, pid });
    case "garbage":
    case "files":
    case "size":
    case "refused":
      return found("REPLY_MALFORMED", { request, detail: failure.message, pid });
    case "disconnected":
    case "vanished":
    case "absent":
      break;
  }
  return await ended(context, read);
}

/** Each request has the whole deadline: a server that is slow ten times does not hang. */
export const requestsProbe: Probe = {
  check: "requests",
  operations: READS.length,
  async run(context) {
    const { session, options } = context;
    const budget = () => Math.min(options.deadlineMs, context.left());
    if (!(await session.ready(budget()))) return [skip("requests", session.why)];
    const findings: Finding[] = [];
    for (const read of READS) {
      // A request that is cut short by the total time does not measure the server.
      if (context.left() < Math.min(options.deadlineMs, LEAST_MS)) break;
      const answer = await session.read(read, budget());
      const finding =
        answer instanceof QbFailure
          ? await unanswered(context, read, answer)
          : await judge(context, read, answer);
      findings.push(finding);
      // After garbage the connection is unusable; the next request gets a new one.
      if (answer instanceof QbFailure) session.reconnect();
      if (!(await session.ready(budget()))) break;
    }
    const left = READS.length - findings.length;
    // Every pmxcfs answers this request, whatever else is wrong.
    const [versions] = findings;
    if (versions?.severity === "fail" && versions.code !== "REQUEST_HUNG") {
      findings.push(...(await stranger(context)));
    }
    const why = session.connected ? "no time left (--total-deadline)" : session.why;
    if (left > 0) findings.push(skip("requests", `${counted(left, "further request")}: ${why}`));
    return findings;
  },
};
