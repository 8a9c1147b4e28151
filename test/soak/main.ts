/**
 * `bun run soak [--minutes N]`: one minute unless given. Prints what was done and memory and
 * descriptors over time; ends with 1 when a byte was wrong, something failed, or something grew.
 */
import { type Footprint, whatIsLeft } from "../robust/footprint.ts";
import { echoCommand, startService } from "../support/service.ts";
import { noRingsLeft } from "../support/shm.ts";
import { plot } from "./plot.ts";
import { soak, type SoakResult } from "./soak.ts";

/** What an idle server may hold: its own, and four ready ring directories. */
const IDLE: Footprint = { descriptors: 48, mappings: 36, directories: 4 };

function minutesOf(words: readonly string[]): number {
  if (words.length === 0) return 1;
  const minutes = Number(words[1]);
  if (words[0] === "--minutes" && words.length === 2 && minutes > 0) return minutes;
  throw new Error("usage: bun run soak [--minutes N]");
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

async function main(): Promise<boolean> {
  const minutes = minutesOf(process.argv.slice(2));
  await using server = await startService(echoCommand);
  const result = await soak(server, minutes * 60_000);
  print(result);
  const faults = [...result.faults];
  const left = server.exitCode === undefined ? await whatIsLeft(server.pid, IDLE) : "nothing";
  if (left !== "nothing") faults.push(`left when all clients were gone: ${left}`);
  const code = await server.stop();
  if (code !== 0) faults.push(`the server ended with ${code}:\n${server.output}`);
  await noRingsLeft(server.pid);
  for (const fault of faults) console.log(`FAILED ${fault}`);
  return faults.length === 0;
}

try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  console.error(`soak: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 2;
}
