/**
 * What corosync alone allows in the cluster benchmark: messages of the size of a write, sent and
 * received by C programs that do nothing else (test/native/cpg-floor.c).
 */
import type { TestCluster } from "../test/corosync/support/cluster.ts";
import { native } from "../test/support/native.ts";

/** A write of 1000 bytes to bench/0: header (24), fields of the change (20), path (8), content. */
const MESSAGE_BYTES = 1052;
const GROUP = "floor";

/** What print_rate of test/native/tool.h prints; times in us. */
export interface Rate {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
}

/** `inFlight` messages at a time from node 1 of three, until `count` were delivered there. */
export async function corosyncAlone(
  cluster: TestCluster,
  inFlight: number,
  count: number,
): Promise<Rate> {
  const program = native("cpg-floor");
  const [first, ...others] = cluster.nodes;
  if (first === undefined) throw new Error("no node");
  const receivers = others.map((node) => node.start([program, GROUP]));
  try {
    const words = [cluster.nodes.length, count, inFlight, MESSAGE_BYTES].map(String);
    const { stdout, stderr } = await first.run(program, GROUP, ...words);
    if (stderr !== "") throw new Error(stderr);
    return JSON.parse(stdout) as Rate;
  } finally {
    await Promise.all(receivers.map((receiver) => receiver.stop("SIGTERM")));
  }
}
