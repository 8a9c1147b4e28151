/**
 * How fast the server answers, what this caller and www-data may do, whether requests queue up, and
 * which clients are connected.
 */
import { counted } from "../../../base/counted.ts";
import { Errno, errnoName } from "../../../base/errno.ts";
import { QbFailure } from "../../../client/failure.ts";
import { readStatus } from "../../../observe/read-status.ts";
import { statusPath } from "../../../observe/status.ts";
import { terminated } from "../../../pmxcfs/requests/encoding.ts";
import { CfsIpc } from "../../../pmxcfs/requests/table.ts";
import { type Finding, found, pass, skip } from "../finding.ts";
import type { Context, Probe } from "../probe.ts";
import { readProcess } from "../proc.ts";
import { type RingDirectoryInfo, type RingState, readRingState } from "../rings.ts";
import { isRecord, parseJson } from "../session.ts";
import { standing } from "./identity.ts";
import { serverPid } from "./requests.ts";
import { existsSync } from "node:fs";

/** A server answers in less than a millisecond; a busy machine adds tens of milliseconds. */
const P99_LIMIT_MS = 100;

/** A request that stays in a ring for this long is not being served. */
const QUEUE_SAMPLE_MS = 200;
const SHOWN = 8;

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

/** A request of these probes that got no answer within `timeoutMs`. */
async function hung(
  context: Context,
  check: "latency" | "permissions",
  failure: QbFailure,
  timeoutMs: number,
): Promise<Finding> {
  if (failure.kind === "timeout" && !context.session.isHang(failure, timeoutMs)) {
    return skip(check, "no time left for an answer (--deadline)");
  }
  context.session.giveUp("the server does not answer");
  const request = `a request (${failure.message})`;
  const pid = await serverPid(context);
  return found("REQUEST_HUNG", { request, deadline: context.options.deadlineMs, pid });
}

export const latencyProbe: Probe = {
  check: "latency",
  async run(context) {
    const { session, options } = context;
    if (!(await session.ready(context.left()))) return [skip("latency", session.why)];
    const client = await session.client(context.left());
    if (client instanceof QbFailure) return [skip("latency", "not connected")];
    const times: number[] = [];
    while (times.length < options.rounds && context.left() > 1) {
      const started = performance.now();
      const timeoutMs = context.left();
      const response = client.sendRecvBlocking(CfsIpc.GET_FS_VERSION, undefined, { timeoutMs });
      // Later answers may be cut off by the deadline; only a failure of the first request is a
      // hang.
      if (response instanceof QbFailure && times.length > 0) break;
      if (response instanceof QbFailure) {
        return [await hung(context, "latency", response, timeoutMs)];
      }
      times.push(performance.now() - started);
    }
    const sorted = times.toSorted((a, b) => a - b);
    const p50 = percentile(sorted, 0.5);
    const p99 = percentile(sorted, 0.99);
    const measures = [
      { name: "latency_p50_seconds", value: p50 / 1000, unit: "s" },
      { name: "latency_p99_seconds", value: p99 / 1000, unit: "s", limit: P99_LIMIT_MS / 1000 },
    ] as const;
    const shown = { rounds: times.length, p50: p50.toFixed(3), p99: p99.toFixed(3) };
    const limit = P99_LIMIT_MS;
    if (p99 >= limit) return [found("LATENCY_HIGH", { ...shown, limit }, { measures })];
    const both = `p50 ${shown.p50} ms, p99 ${shown.p99} ms`;
    const line = `${counted(shown.rounds, "round")} of GET_FS_VERSION: ${both}`;
    return [pass("latency", `${line} (limit ${limit} ms)`, measures)];
  },
};

/** Requests whose answers show a caller's permissions and that change nothing for any caller. */
const ATTEMPTS = [
  {
    attempt: "SET_STATUS without a body",
    id: CfsIpc.SET_STATUS,
    body: Buffer.alloc(0),
    "read-write": Errno.EINVAL,
    "read-only": Errno.EPERM,
  },
  {
    attempt: "GET_CONFIG of a private path",
    id: CfsIpc.GET_CONFIG,
    body: terminated("priv/pmxcfs-ipc-check"),
    "read-write": Errno.ENOENT,
    "read-only": Errno.EPERM,
  },
] as const;

export const permissionsProbe: Probe = {
  check: "permissions",
  operations: ATTEMPTS.length,
  async run(context) {
    const { session, facts, options } = context;
    if (!(await session.ready(context.left()))) return [skip("permissions", session.why)];
    const { uid, gid } = await facts.identity();
    const rule = standing(uid, gid, await facts.group("www-data"));
    // Accepted against the default rule: by an option of the server, and then read-write is right.
    const expected = rule === "refused" ? "read-write" : rule;
    const findings: Finding[] = [];
    const answered: number[] = [];
    for (const { attempt, id, body, ...right } of ATTEMPTS) {
      const timeoutMs = Math.min(options.deadlineMs, context.left());
      const answer = await session.ask(id, body, timeoutMs);
      if (answer instanceof QbFailure) {
        return [await hung(context, "permissions", answer, timeoutMs)];
      }
      answered.push(answer.error);
      if (answer.error === right[expected]) continue;
      const got = answer.error === 0 ? "success" : errnoName(answer.error);
      const caller = `uid ${uid}, gid ${gid}`;
      const wanted = errnoName(right[expected]);
      findings.push(found("PERMISSIONS_WRONG", { caller, attempt, got, expected: wanted }));
    }
    const caller = `uid ${uid}, gid ${gid}`;
    if (findings.length === 0) return [pass("permissions", `${caller} is ${expected}`)];
    const isReadOnly = ATTEMPTS.every((attempt, at) => answered[at] === attempt["read-only"]);
    const words = await facts.serverWords();
    if (isReadOnly && words.includes("--read-only")) return [found("SERVER_READ_ONLY", { caller })];
    return findings;
  },
};

type Sampled = readonly [ring: RingDirectoryInfo, state: RingState];

async function sample(rings: readonly RingDirectoryInfo[]): Promise<Sampled[]> {
  const states = await Promise.all(rings.map(async (ring) => [ring, await readRingState(ring)]));
  return states.filter((pair): pair is [RingDirectoryInfo, RingState] => pair[1] !== undefined);
}

function names({ machine }: Context, rings: readonly RingDirectoryInfo[]): string {
  const shown = rings.slice(0, SHOWN).map(({ clientPid }) => {
    return `${clientPid} (${readProcess(machine.paths.proc, clientPid)?.command ?? "gone"})`;
  });
  return `${shown.join(", ")}${rings.length > SHOWN ? ", ..." : ""}`;
}

async function liveRings({ facts, options }: Context): Promise<RingDirectoryInfo[]> {
  const all = await facts.rings();
  return all.filter(
    (ring) => ring.service === options.service && ring.clientPid !== 0 && ring.server !== undefined,
  );
}

export const flowProbe: Probe = {
  check: "flow",
  async run(context) {
    const rings = await liveRings(context);
    const first = await sample(rings);
    if (first.length === 0) {
      return [skip("flow", rings.length === 0 ? "no rings of other clients" : "rings of others")];
    }
    const total = first.length;
    const findings: Finding[] = [];
    const stopped = first.filter(([, { flowControl }]) => flowControl > 0).map(([ring]) => ring);
    if (stopped.length > 0) {
      const list = names(context, stopped);
      findings.push(found("FLOW_CONTROL_ON", { count: stopped.length, total, list }));
    }
    const waiting = first.filter(([, state]) => state.readIndex !== state.writeIndex);
    if (waiting.length > 0) await Bun.sleep(QUEUE_SAMPLE_MS);
    const again = new Map(await sample(waiting.map(([ring]) => ring)));
    const stuck = waiting.filter(([ring, { readIndex }]) => {
      const now = again.get(ring);
      return now !== undefined && now.readIndex === readIndex && now.writeIndex !== readIndex;
    });
    if (stuck.length > 0) {
      const list = names(
        context,
        stuck.map(([ring]) => ring),
      );
      const values = { count: stuck.length, total, limit: QUEUE_SAMPLE_MS, list };
      findings.push(found("QUEUE_WAITING", values));
    }
    if (findings.length > 0) return findings;
    return [pass("flow", `${counted(total, "connection")}: none is stopped, no request waits`)];
  },
};

/** Number of connections per program, the largest first. */
function byCommand({ machine }: Context, rings: readonly RingDirectoryInfo[]): string[] {
  const counts = new Map<string, number>();
  for (const { clientPid } of rings) {
    const command = readProcess(machine.paths.proc, clientPid)?.command ?? "gone";
    counts.set(command, (counts.get(command) ?? 0) + 1);
  }
  const sorted = [...counts].toSorted((a, b) => b[1] - a[1]);
  return sorted.map(([command, count]) => `${count} ${command}`);
}

/**
 * The number of connections by the status socket of a server of ours; undefined without an answer.
 */
async function ownCount(context: Context): Promise<Finding | undefined> {
  const { facts, options } = context;
  const path = statusPath(options.service, process.env, process.getuid?.());
  if (path === undefined || !existsSync(path)) return undefined;
  // Half of the time left: what /proc showed must be reported even when the server is stopped.
  const status = await readStatus(path, context.left() / 2);
  const owner = (await facts.server())?.owner;
  if (typeof status === "string" || status.pid !== owner?.pid) return undefined;
  const { totals, connections, connections_limit: limit } = status;
  const refused = Object.values(status.refused).reduce((sum, count) => sum + count, 0);
  const queued = connections.reduce((sum, connection) => sum + connection.queued, 0);
  const line =
    `its own count: ${connections.length} of ${limit} connections, ${queued} requests queued; ` +
    `${totals.requests} requests so far, ${totals.errors} answered with an errno; ` +
    `${refused} connections refused, ${status.violations} ended for breaking the protocol`;
  return pass("clients", line);
}

export const clientsProbe: Probe = {
  check: "clients",
  async run(context) {
    const { facts, session } = context;
    if ((await facts.server()) === undefined) return [skip("clients", "no listener")];
    // This check's own connection does not count.
    const count = Math.max(0, (await facts.connectionCount()) - (session.connected ? 1 : 0));
    const rings = await liveRings(context);
    const measures = [{ name: "connections", value: count, unit: "" }] as const;
    const list = byCommand(context, rings);
    const who = list.length === 0 ? "" : `: ${list.slice(0, SHOWN).join(", ")}`;
    const verb = count === 1 ? "is" : "are";
    const line = `${counted(count, "client")} ${verb} connected${who}`;
    const seen = pass("clients", line, measures);
    const own = await ownCount(context);
    return own === undefined ? [seen] : [seen, own];
  },
};

/** The worst line of a child's report; undefined when it found nothing wrong. */
function worst(report: Record<string, unknown>): string | undefined {
  const { verdict, exit_code: exitCode } = report as Partial<Record<string, unknown>>;
  if (exitCode === 0 || !isRecord(verdict)) return undefined;
  const { text, code } = verdict as Partial<Record<string, unknown>>;
  const line = typeof text === "string" ? text : "no verdict";
  return typeof code === "string" ? `${line} (${code})` : line;
}

async function ask(context: Context, self: readonly string[]): Promise<Finding> {
  const { machine, options } = context;
  const become = ["setpriv", "--reuid", "www-data", "--regid", "www-data", "--clear-groups"];
  const deadline = `${options.deadlineMs}ms`;
  const checks = ["--only", "handshake,permissions", "--deadline", deadline];
  const words = [...become, ...self, "--check", "--socket", options.service, "--json", ...checks];
  const { out, error, timedOut } = await machine.run(words, context.left());
  const report = parseJson(Buffer.from(out));
  if (!isRecord(report)) {
    const why = error.trim().split("\n")[0] ?? "";
    const what = timedOut ? "no answer in time" : `the check did not run (${why})`;
    return found("WWW_DATA_FAILS", { what }, { severity: timedOut ? "fail" : "notice" });
  }
  const bad = worst(report);
  if (bad !== undefined) return found("WWW_DATA_FAILS", { what: bad });
  return pass("permissions", "www-data, the user of pveproxy, connects and is read-only");
}

/** The child connects, and makes two requests. */
const OPERATIONS = 4;

export const wwwDataProbe: Probe = {
  check: "permissions",
  operations: OPERATIONS,
  async run(context) {
    const { machine, facts, session } = context;
    const { uid } = await facts.identity();
    const known = (await facts.group("www-data")) !== undefined && machine.has("setpriv");
    if (uid !== 0 || !known || machine.self === undefined) return [];
    if (!(await session.ready(context.left()))) return [];
    return [await ask(context, machine.self)];
  },
};
