/**
 * `bun run soak [--mount | --cluster] [--minutes N]`: a soak of the transport, of a node with its
 * mount, or of three nodes with a corosync each; 1 minute by default. Prints totals, and memory and
 * descriptors over time; ends with 1 after a wrong byte, a failure or growth.
 */
import { parseArgs } from "node:util";
import { counted } from "../../src/base/counted.ts";
import { noCluster } from "../corosync/support/cluster.ts";
import { type Footprint, whatIsLeft } from "../robust/footprint.ts";
import { echoCommand, startService } from "../support/service.ts";
import { noRingsLeft } from "../support/shm.ts";
import { NodesSoak } from "./nodes/nodes-soak.ts";
import { plot } from "./plot.ts";
import { soak, type SoakResult } from "./soak.ts";

/** Upper bounds for an idle server, which has four prepared ring directories. */
const IDLE: Footprint = { descriptors: 48, mappings: 36, directories: 4 };

interface Options {
  readonly minutes: number;
  /** 0: the transport alone. */
  readonly nodes: 0 | 1 | 3;
}

function parseOptions(words: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...words],
    options: {
      minutes: { type: "string", default: "1" },
      mount: { type: "boolean", default: false },
      cluster: { type: "boolean", default: false },
    },
  });
  const minutes = Number(values.minutes);
  if (!(minutes > 0) || (values.mount && values.cluster)) {
    throw new Error("usage: bun run soak [--mount | --cluster] [--minutes N]");
  }
  return { minutes, nodes: values.cluster ? 3 : values.mount ? 1 : 0 };
}

function print({ samples, requests, connects, killed }: SoakResult): void {
  console.log(`${requests} requests, ${connects} connects, ${killed} clients killed`);
  const resident = samples.map((sample) => Math.round(sample.residentKib / 1024));
  console.log(plot("own memory", resident, " MiB"));
  for (const what of ["descriptors", "mappings", "directories"] as const) {
    console.log(
      plot(
        what,
        samples.map((sample) => sample[what]),
      ),
    );
  }
}

/** Prints the faults; true if there are none. */
function passed(faults: readonly string[]): boolean {
  for (const fault of faults) console.log(`FAILED ${fault}`);
  console.log(faults.length === 0 ? "nothing wrong" : counted(faults.length, "fault"));
  return faults.length === 0;
}

async function soakNodes(count: 1 | 3, ms: number): Promise<boolean> {
  const reason = noCluster();
  if (reason !== undefined) throw new Error(reason);
  await using soaked = await NodesSoak.start(count);
  return passed(await soaked.run(ms));
}

async function soakTransport(ms: number): Promise<boolean> {
  await using server = await startService(echoCommand);
  const result = await soak(server, ms);
  print(result);
  const faults = [...result.faults];
  const left = server.exitCode === undefined ? await whatIsLeft(server.pid, IDLE) : "nothing";
  if (left !== "nothing") faults.push(`left after the end of all clients: ${left}`);
  const code = await server.stop();
  if (code !== 0) faults.push(`the server ended with ${code}:\n${server.output}`);
  await noRingsLeft(server.pid);
  return passed(faults);
}

async function main(): Promise<boolean> {
  const { minutes, nodes } = parseOptions(process.argv.slice(2));
  return await (nodes === 0 ? soakTransport(minutes * 60_000) : soakNodes(nodes, minutes * 60_000));
}

try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  console.error(`soak: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 2;
}
