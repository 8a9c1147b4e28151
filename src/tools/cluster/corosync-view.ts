/**
 * A node's cluster as its corosync reports it, with any server of /etc/pve: nodes, quorum, and the
 * processes in pmxcfs's groups. It joins no group, so the other members see no change.
 */
import { Cmap } from "../../corosync/cmap.ts";
import { CpgGroup } from "../../corosync/cpg.ts";
import { csErrorName, CsFailure } from "../../corosync/cs-error.ts";
import type { CpgMember } from "../../corosync/fragments.ts";
import { Quorum } from "../../corosync/quorum.ts";
import { factsOf } from "../../pmxcfs/replication/services/cluster-facts.ts";
import { DATABASE_GROUP, STATUS_GROUP } from "../../pmxcfs/replication/services/group-names.ts";
import type { ClusterFacts } from "../../pmxcfs/state/members.ts";
import { memberVersions, type MemberVersion } from "./running-versions.ts";

export interface CorosyncView {
  readonly facts: ClusterFacts;
  /** The configuration that each node runs. */
  readonly running: readonly MemberVersion[];
  /** Milliseconds for which a node holds the token while there is nothing to send. */
  readonly holdMs: number;
  /** The id of this node. */
  readonly nodeid: number;
  readonly quorate: boolean;
  /** Node ids of this partition. */
  readonly partition: readonly number[];
  /** The members of each group. */
  readonly groups: {
    readonly dcdb: readonly CpgMember[];
    readonly status: readonly CpgMember[];
  };
}

/** Time limits for a connection and for each answer. */
interface Times {
  readonly connectMs: number;
  readonly callMs: number;
}

const TIMES: Times = { connectMs: 3000, callMs: 5000 };

type ConfigurationView = Pick<CorosyncView, "facts" | "running" | "holdMs">;
type QuorumView = Pick<CorosyncView, "quorate" | "partition">;

/** The answer of each service, or an error line. */
export interface CorosyncAnswers {
  readonly cmap: ConfigurationView | string;
  readonly quorum: QuorumView | string;
  readonly cpg: Pick<CorosyncView, "nodeid" | "groups"> | string;
}

function failed(service: string, failure: CsFailure | number): string {
  return `${service}: ${typeof failure === "number" ? csErrorName(failure) : failure.toString()}`;
}

async function readConfiguration(times: Times): Promise<ConfigurationView | string> {
  const cmap = await Cmap.connect({ changed: () => {}, ended: () => {} }, times);
  if (cmap instanceof CsFailure) return failed("cmap", cmap);
  using connected = cmap;
  const facts = await factsOf(connected);
  if (typeof facts === "number") return failed("cmap", facts);
  const running = await memberVersions(connected);
  if (typeof running === "number") return failed("cmap", running);
  const hold = await connected.get("runtime.config.totem.hold");
  const holdMs = typeof hold === "object" && hold.kind === "integer" ? Number(hold.value) : 0;
  return { facts, running, holdMs };
}

async function readQuorum(times: Times): Promise<QuorumView | string> {
  let partition: readonly number[] = [];
  const quorum = await Quorum.connect(
    { changed: ({ nodes }) => (partition = nodes), ended: () => {} },
    times,
  );
  if (quorum instanceof CsFailure) return failed("quorum", quorum);
  using connected = quorum;
  await connected.track();
  const quorate = await connected.quorate();
  connected.drain();
  return typeof quorate === "number" ? failed("quorum", quorate) : { quorate, partition };
}

async function readGroup(
  group: string,
  times: Times,
): Promise<{ readonly nodeid: number; readonly members: readonly CpgMember[] } | string> {
  const idle = { deliver: () => {}, confchg: () => {}, ended: () => {} };
  const cpg = await CpgGroup.connect(group, idle, times);
  if (cpg instanceof CsFailure) return failed("cpg", cpg);
  using connected = cpg;
  const members = await connected.members();
  if (typeof members === "number") return failed("cpg", members);
  return { nodeid: connected.nodeid, members };
}

async function readGroups(times: Times): Promise<CorosyncAnswers["cpg"]> {
  const dcdb = await readGroup(DATABASE_GROUP, times);
  if (typeof dcdb === "string") return dcdb;
  const status = await readGroup(STATUS_GROUP, times);
  if (typeof status === "string") return status;
  return { nodeid: dcdb.nodeid, groups: { dcdb: dcdb.members, status: status.members } };
}

/** Queries all services concurrently; each has its own time limit. */
export async function askCorosync(times: Times = TIMES): Promise<CorosyncAnswers> {
  const [cmap, quorum, cpg] = await Promise.all([
    readConfiguration(times),
    readQuorum(times),
    readGroups(times),
  ]);
  return { cmap, quorum, cpg };
}

/** The whole view, or the error line of the first service without an answer. */
export function viewOf({ cmap, quorum, cpg }: CorosyncAnswers): CorosyncView | string {
  if (typeof cmap === "string") return cmap;
  if (typeof quorum === "string") return quorum;
  if (typeof cpg === "string") return cpg;
  return { ...cmap, ...quorum, ...cpg };
}

/** Queries all services: the whole view, or an error line if one does not answer. */
export async function readCorosync(): Promise<CorosyncView | string> {
  return viewOf(await askCorosync());
}
