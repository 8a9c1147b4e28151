/**
 * `pmxcfs-ipc --check`: runs all probes and makes the report. Needs no configuration, changes
 * nothing, and ends within its time limit also if a probe hangs.
 */
import { PVE_SERVICE } from "../../base/paths.ts";
import type { CheckName } from "../diagnosis/code.ts";
import { Facts } from "./context.ts";
import type { Finding } from "./finding.ts";
import type { Machine } from "./host.ts";
import { type CheckOptions, type Probe, runProbes } from "./probe.ts";
import {
  clockProbe,
  clusterProbe,
  nodeDirectoryProbe,
  rrdcachedProbe,
  statusProbe,
} from "./probes/cluster.ts";
import { corosyncProbe } from "./probes/corosync.ts";
import { databaseProbe, filesProbe } from "./probes/database.ts";
import { graphDataProbe } from "./probes/graphs.ts";
import { identityProbe, nameProbe } from "./probes/identity.ts";
import { listenerProbe } from "./probes/listener.ts";
import { leftoversProbe, memoryProbe, resourcesProbe, stuckProbe } from "./probes/machine.ts";
import { mountProbe } from "./probes/mount.ts";
import { handshakeProbe, requestsProbe } from "./probes/requests.ts";
import {
  clientsProbe,
  flowProbe,
  latencyProbe,
  permissionsProbe,
  wwwDataProbe,
} from "./probes/traffic.ts";
import { unitProbe } from "./probes/unit.ts";
import { type Report, type Selection, kept, makeReport, wanted } from "./report.ts";
import { Session } from "./session.ts";

/** Probes of the machine, run side by side. */
const MACHINE_LANE: readonly Probe[] = [
  identityProbe,
  listenerProbe,
  unitProbe,
  memoryProbe,
  leftoversProbe,
  nameProbe,
  nodeDirectoryProbe,
  mountProbe,
  rrdcachedProbe,
  stuckProbe,
  resourcesProbe,
  flowProbe,
];

/** Probes that send requests, one after the other: side by side they would slow each other. */
const SERVER_PROBES: readonly Probe[] = [
  requestsProbe,
  latencyProbe,
  permissionsProbe,
  wwwDataProbe,
  clusterProbe,
  statusProbe,
  graphDataProbe,
  clockProbe,
  clientsProbe,
];

/**
 * The connection is first: it shows which program serves, which other probes depend on. The
 * examination of config.db is last: it keeps the processor busy.
 */
const LANES: readonly (readonly Probe[])[] = [
  [handshakeProbe],
  MACHINE_LANE,
  ...SERVER_PROBES.map((probe) => [probe]),
  [databaseProbe],
  [filesProbe],
  [corosyncProbe],
];

export const DEFAULT_OPTIONS: CheckOptions = {
  service: PVE_SERVICE,
  deadlineMs: 2_000,
  totalMs: 10_000,
  rounds: 200,
};

const EVERYTHING: Selection = { only: [], skip: [] };

/**
 * Runs the selected probes; never throws, takes hardly longer than `totalMs`. `onLane` is called
 * with the checks that begin.
 */
export async function runCheck(
  machine: Machine,
  options: CheckOptions,
  selection: Selection = EVERYTHING,
  onLane?: (checks: readonly CheckName[]) => void,
): Promise<Report> {
  const started = performance.now();
  using session = new Session(options.service, options.deadlineMs);
  const facts = new Facts(machine, options.service);
  const lanes = LANES.map((lane) => lane.filter(({ check }) => wanted(check, selection)));
  const base = { machine, facts, session, options };
  const keep = (check: CheckName, finding: Finding) => kept(check, finding, selection);
  const findings = await runProbes(lanes, base, keep, onLane);
  const run = {
    host: machine.hostName(),
    service: options.service,
    at: machine.now(),
    durationMs: performance.now() - started,
  };
  return makeReport(run, findings);
}
