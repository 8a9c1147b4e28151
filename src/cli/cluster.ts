/**
 * `pmxcfs-ipc cluster`: shows the replicated groups as this node's corosync sees them, with any
 * server.
 */
import { PVE_SERVICE } from "../base/paths.ts";
import { errorText } from "../base/error-text.ts";
import { escapeText, jsonText } from "../base/escape.ts";
import { askCluster } from "../observe/ask-cluster.ts";
import { type ClusterQuestion, clusterSocketPath } from "../observe/cluster-socket.ts";
import { fullQueue } from "../platform/bound-socket.ts";
import type { GroupStatus } from "../pmxcfs/replication/group-status.ts";
import { sameEpoch } from "../pmxcfs/replication/message.ts";
import type { ClusterStatus } from "../pmxcfs/replication/services/cluster.ts";
import { readCorosync } from "../tools/cluster/corosync-view.ts";
import { type ClusterReport, readConfigFiles, reportOf } from "../tools/cluster/report.ts";
import { membersText, statusText } from "../tools/cluster/text.ts";
import { flag, milliseconds, text } from "./args.ts";
import { command, commandGroup } from "./command.ts";
import { CommandFailure, ExitCode, leave } from "./failure.ts";
import { Progress } from "./progress.ts";
import { print } from "./terminal.ts";

const socket = text({
  description: "Service of this node's server",
  hint: "NAME",
  default: PVE_SERVICE,
});
const json = flag({ description: "Print JSON" });

function socketOf(service: string): string {
  const path = clusterSocketPath(service, process.env, process.getuid?.());
  if (path !== undefined) return path;
  throw new CommandFailure("XDG_RUNTIME_DIR is not set, so the server's socket cannot be found");
}

/** The answers of this node's server; throws CommandFailure if none runs or it is not ours. */
async function* ask(
  service: string,
  question: ClusterQuestion,
  signal?: AbortSignal,
): AsyncGenerator<Record<string, unknown>> {
  const path = socketOf(service);
  try {
    yield* askCluster(path, question, signal);
  } catch (error) {
    if (signal?.aborted === true) return;
    const what = `${errorText(error)}: is a server of ours running, with a cluster?`;
    throw new CommandFailure(`${path}: ${fullQueue(path, error) ?? what}`);
  }
}

/** The status of this node's server; undefined for the C server, which has none. */
async function serverView(service: string): Promise<ClusterStatus | undefined> {
  try {
    for await (const view of ask(service, "view")) return view as unknown as ClusterStatus;
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error;
  }
  return undefined;
}

async function report(service: string): Promise<ClusterReport> {
  using progress = new Progress();
  progress.show("asks corosync");
  const view = await readCorosync();
  if (typeof view === "string") throw new CommandFailure(`corosync does not answer: ${view}`);
  progress.show("reads corosync.conf");
  const files = await readConfigFiles();
  progress.show("asks this node's server");
  return reportOf(view, files, await serverView(service));
}

const status = command({
  name: "status",
  summary: "Show quorum, members, which of them are synced, and problems",
  details: [
    "Asks this node's corosync, and this node's server if it is one of ours. Joins no group, so " +
      "it does not affect the cluster.",
  ],
  exits: [[1, "corosync does not answer, or there are problems"]],
  options: { socket, json },
  async run(values) {
    const found = await report(values.socket);
    print(values.json ? `${jsonText(found, 2)}\n` : statusText(found));
    return leave(found.problems.length === 0 ? ExitCode.OK : ExitCode.FAILURE);
  },
});

const members = command({
  name: "members",
  summary: "List the nodes, and the processes in pmxcfs's groups",
  options: { socket, json },
  async run(values) {
    const found = await report(values.socket);
    print(values.json ? `${jsonText(found.nodes, 2)}\n` : membersText(found));
    return leave(ExitCode.OK);
  },
});

/** Time after the checksum within which members that differ leave the group. */
const LEAVE_MS = 500;

/** Starts a verification and waits until the checksum is delivered; false: not in time. */
async function verified(service: string, timeoutMs: number): Promise<boolean> {
  const stop = AbortSignal.timeout(timeoutMs);
  const found = new AbortController();
  const events = ask(service, "watch", AbortSignal.any([stop, found.signal]));
  // Watches before it starts the verification: the first event may be the checksum.
  let next = events.next();
  for await (const { started } of ask(service, "verify")) {
    if (started === true) continue;
    found.abort();
    throw new CommandFailure(
      "not started: this node is not synced or has not the lowest node id, or a verification runs",
    );
  }
  for (let event = await next; event.done !== true; event = await next) {
    const isAnswer = String(event.value["text"]).startsWith("VERIFY ");
    if (isAnswer) found.abort();
    if (isAnswer) return true;
    next = events.next();
  }
  return false;
}

/** The part of a group's status that shows who has left it. */
type Group = Pick<GroupStatus, "mode" | "epoch"> & {
  readonly members: readonly Pick<GroupStatus["members"][number], "nodeid" | "pid">[];
};

/**
 * Whether all members had equal trees: none has left since before the checksum. One that has left
 * joins again at once, with the same pid, but in a later epoch. Undefined if it is not known: the
 * server did not answer, or another member joins.
 */
export function equalTrees(
  before: Group | undefined,
  after: Group | undefined,
): boolean | undefined {
  if (before === undefined || after === undefined) return undefined;
  const now = new Set(after.members.map(({ nodeid, pid }) => `${nodeid}/${pid}`));
  if (before.members.some(({ nodeid, pid }) => !now.has(`${nodeid}/${pid}`))) return false;
  if (sameEpoch(before.epoch, after.epoch)) return after.mode === "synced" ? true : undefined;
  return now.size === before.members.length ? false : undefined;
}

/** The result of a verification as a line, without its end. */
export function verdictText(count: number, equal: boolean): string {
  if (!equal) return "a member differed and left";
  return count === 1 ? "this node is the only member" : `${count} members compared their trees`;
}

const verify = command({
  name: "verify",
  summary: "Make all members compare their trees now, not only once an hour",
  details: [
    "One node sends the checksum of its tree, and all others compare it with that of their own " +
      "tree at the same point. A member that differs leaves the group and takes the leader's " +
      "data. This node's server must be ours, be synced, and have the lowest node id.",
  ],
  exits: [
    [1, "The verification could not be started or has no result, or a member differed and left"],
  ],
  options: {
    socket,
    json,
    timeout: milliseconds({ description: "Time limit of the verification", default: 10_000 }),
  },
  async run(values) {
    using progress = new Progress();
    progress.show("waits for the checksum");
    const before = (await serverView(values.socket))?.groups.dcdb;
    if (!(await verified(values.socket, values.timeout))) {
      throw new CommandFailure("the checksum was not delivered in time: see cluster status");
    }
    await Bun.sleep(LEAVE_MS);
    const equal = equalTrees(before, (await serverView(values.socket))?.groups.dcdb);
    progress.clear();
    if (equal === undefined) {
      throw new CommandFailure("the result is not known: see cluster status, and verify again");
    }
    const count = before?.members.length ?? 0;
    if (values.json) print(`${jsonText({ members: count, equal })}\n`);
    else print(`${verdictText(count, equal)}\n`);
    return equal ? ExitCode.OK : ExitCode.FAILURE;
  },
});

/** An event as one line, without its end. */
export function eventText(event: Record<string, unknown>): string {
  const { time, group, kind, from, text: words, members: list, mode } = event;
  const head = `${String(time)} ${String(group)}`;
  if (kind === "message") return escapeText(`${head} ${String(from)} ${String(words)}`);
  if (kind === "members") return escapeText(`${head} members ${(list as string[]).join(", ")}`);
  return escapeText(`${head} mode ${String(mode)}`);
}

const watch = command({
  name: "watch",
  summary: "Print each message and each change of members until interrupted",
  details: ["Shows what this node's server receives, which must be one of ours."],
  exits: [[1, "No server of ours runs, or it has ended the connection"]],
  options: { socket, json },
  async run(values) {
    for await (const event of ask(values.socket, "watch")) {
      print(`${values.json ? jsonText(event) : eventText(event)}\n`);
    }
    throw new CommandFailure(
      "the server has ended the connection: it stops, has its maximum of watchers, or this one " +
        "reads too slowly",
    );
  },
});

export const clusterCommand = commandGroup(
  {
    name: "cluster",
    summary: "Show the cluster as this node's corosync and server see it",
    examples: [
      ["cluster status", "quorum, members, problems"],
      ["cluster watch --json", "each change of every node as it comes"],
    ],
  },
  {
    status: () => Promise.resolve(status),
    members: () => Promise.resolve(members),
    verify: () => Promise.resolve(verify),
    watch: () => Promise.resolve(watch),
  },
);
