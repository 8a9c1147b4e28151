/** The namespaces of a node leave no process behind. */
import { expect } from "bun:test";
import { eventually } from "../support/eventually.ts";
import { isRunning, isStopped } from "../support/process-state.ts";
import { testUnless } from "../support/unless.ts";
import { noCluster } from "./support/cluster.ts";
import { Holder, innerPid, signalInner } from "./support/holder.ts";

const test = testUnless(noCluster());

test("a process that is stopped, and the nsenter that stops with it, end with them", async () => {
  const pids: number[] = [];
  {
    await using holder = await Holder.make("true");
    const nsenter = holder.start(["sleep", "600"], { stdin: "ignore" });
    pids.push(nsenter.pid, await innerPid(nsenter.pid));
    signalInner(nsenter.pid, "SIGSTOP");
    await eventually("nsenter stops, too", () => isStopped(nsenter.pid));
  }
  expect(pids.filter(isRunning)).toEqual([]);
});
