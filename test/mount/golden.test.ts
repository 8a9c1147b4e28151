/**
 * Replays the recorded behaviour of the C server's mount (mount.json in test/golden) on a real
 * mount: as pmxcfs and as serve --mount, and with both ways of waking.
 */
import { expect } from "bun:test";
import { join } from "node:path";
import { REPOSITORY } from "../support/native.ts";
import { noPrivateNode, PrivateNode } from "../support/private-node.ts";
import { testUnless } from "../support/unless.ts";

const REPLAY = join(REPOSITORY, "test", "mount", "replay.py");
const VECTORS = join(REPOSITORY, "test", "golden", "mount.json");

const testOnNode = testUnless(noPrivateNode());

async function replay(...words: string[]): Promise<string> {
  await using node = await PrivateNode.start();
  const { exitCode, stdout, stderr } = await node.run(
    ["python3", REPLAY, VECTORS, ...words],
    120_000,
  );
  // A failure shows the differences and the server's output.
  return exitCode === 0 ? (stdout.trim().split("\n").at(-1) ?? "") : `${stdout}${stderr}`;
}

testOnNode(
  "as pmxcfs, the mount answers every recorded scenario as the C server did",
  async () => {
    const found = await replay("--server", "pmxcfs -l -f", "--cluster", "pmxcfs -f");
    expect(found).toBe("45 scenarios, 2892 steps, 0 differences");
  },
  150_000,
);

testOnNode("as serve --mount, woken by a thread, files and locks are the same", async () => {
  const server = "pmxcfs-ipc serve --mount --local --wake thread";
  const found = await replay("--server", server, "--only", "random");
  expect(found).toBe("6 scenarios, 718 steps, 0 differences");
});

testOnNode("with --commit batched, files, locks, versions and rows are the same", async () => {
  const server = "pmxcfs-ipc serve --mount --local --commit batched";
  const found = await replay("--server", server, "--only", "random");
  expect(found).toBe("6 scenarios, 718 steps, 0 differences");
});
