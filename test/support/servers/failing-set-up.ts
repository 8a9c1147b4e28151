/**
 * The supply of rings with a peer whose set-up throws: prints the names of the peers that were
 * served, when those that waited have been, and the exceptions that nothing caught, as JSON.
 */
import { Errno } from "../../../src/base/errno.ts";
import { RingDisposal } from "../../../src/ipc/scheduling/ring-disposal.ts";
import type { QueuedJob } from "../../../src/ipc/scheduling/time-sliced-queue.ts";
import { RingSupply } from "../../../src/ipc/setup/ring-supply.ts";
import type { FileDirectory } from "../../../src/platform/files.ts";
import { eventually } from "../eventually.ts";

interface Named extends QueuedJob {
  readonly name: string;
}

/** Memory of one ended connection, whose removal takes a turn of its own. */
const BYTES = 100;

const failures: string[] = [];
process.on("unhandledRejection", (error) => failures.push(String(error)));

const disposal = new RingDisposal(1);
const served: string[] = [];
const full = { makeSub: () => Errno.ENOSPC } as unknown as FileDirectory;
const settings = { pooledRings: 0, mappedRings: 100 };
const supply = new RingSupply<Named>(full, "none", settings, disposal, ({ name }) => {
  if (name === "faulty") throw new Error("no rings");
  served.push(name);
});

function remove(): void {
  const until = performance.now() + 2;
  while (performance.now() < until);
}

function endConnections(): void {
  for (let number = 0; number < 4; number++) {
    disposal.add({ bytes: BYTES, [Symbol.dispose]: remove }, { uid: 33, pid: 1 });
  }
}

function wait(name: string, uid: number): void {
  const owner = { pid: 1, uid, gid: uid };
  const wanted = { owner, socketFd: 5, dataBytes: 4096, bytes: BYTES };
  const taken = supply.take({ name, peer: owner }, wanted, 0);
  if (taken !== "later") throw new Error(`${name} does not wait`);
}

endConnections();
wait("faulty", 33);
wait("waiting", 34);
await eventually("the first is served", () => served.length === 1, 5000).catch(() => {});
endConnections();
wait("later", 33);
await eventually("the next is served", () => served.length === 2, 5000).catch(() => {});
process.stdout.write(JSON.stringify({ served, failures }));
