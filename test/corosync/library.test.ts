/** Runs the program in docs/library.md that joins a process group. */
import { expect } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { REPOSITORY } from "../support/native.ts";
import { testUnless } from "../support/unless.ts";
import { noCluster, TestCluster } from "./support/cluster.ts";

testUnless(noCluster())(
  "the program joins a group, sends a message and leaves, as the page says",
  async () => {
    const page = readFileSync(join(REPOSITORY, "docs", "library.md"), "utf8");
    const program = /^```ts corosync\n([^]*?)^```$/m.exec(page)?.[1] ?? "";
    expect(program.split("\n").filter((line) => line.trim() !== "").length).toBeLessThanOrEqual(22);
    const directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-test-"));
    await using cluster = await TestCluster.up(1);
    try {
      const file = join(directory, "greet.ts");
      const index = JSON.stringify(join(REPOSITORY, "src", "index.ts"));
      writeFileSync(file, program.replace('"pmxcfs-ipc"', index));
      const { exitCode, stdout, stderr } = await cluster.node(1).run(process.execPath, file);
      expect({ exitCode, stdout, stderr }).toEqual({
        exitCode: 0,
        // The confchg for its leave may arrive before the connection ends.
        stdout: expect.stringMatching(/^1 members, 1 new\n1: hello\n(0 members, 0 new\n)?$/),
        stderr: "",
      });
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  },
  60_000,
);
