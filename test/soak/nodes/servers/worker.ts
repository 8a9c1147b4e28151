/**
 * The load of one node: runs in the node and reads commands. Arguments: the name of the node, then
 * the names of all nodes.
 */
import { say, serveCommands } from "../../../corosync/support/json-commands.ts";
import { FilesLoad } from "../files-load.ts";
import { IPC_CLIENTS, IpcLoad } from "../ipc-load.ts";
import { Journal } from "../journal.ts";
import type { WorkerCommand } from "../worker-process.ts";

const MOUNT = "/etc/pve";
/** Most time between two steps: three nodes with their servers and corosyncs share two cores. */
const PAUSE_MS = 5;

const [node = "", ...nodes] = process.argv.slice(2);
const journal = new Journal();
const files = new FilesLoad(node, nodes, journal);
const ipc = Array.from(
  { length: IPC_CLIENTS },
  (_, client) => new IpcLoad(client, node, nodes, journal),
);
const state = { isGoing: false };
let running: Promise<unknown> = Promise.resolve();

async function repeat(step: () => Promise<void>): Promise<void> {
  while (state.isGoing) {
    await step();
    await Bun.sleep(Math.random() * PAUSE_MS);
  }
}

const operations = {
  async enter() {
    process.chdir(MOUNT);
    await files.prepare();
  },
  go() {
    state.isGoing = true;
    running = Promise.all([
      repeat(() => files.step()),
      ...ipc.map((load) => repeat(() => load.step())),
    ]);
  },
  async rest() {
    state.isGoing = false;
    await running;
  },
  check: () => files.check(),
  unlock: () => files.unlock(),
  report: () => journal.take(),
  async mark(round: string) {
    for (const load of ipc) await load.setAll();
    await ipc[0]?.mark(Number(round));
  },
  state: (round: string) => ipc[0]?.state(Number(round)),
  log: () => ipc[0]?.log(),
  metrics: async (address: string) => await (await fetch(`http://${address}/metrics`)).text(),
} satisfies Record<WorkerCommand["op"], unknown>;

say({ event: "started" });
await serveCommands(({ op, word }: WorkerCommand) => operations[op](word));
