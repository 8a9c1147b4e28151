/**
 * Random steps on the mount of the C server, then on ours: the same results, rows and counters. Run
 * by hand, because it needs the C server's binary; SEEDS chooses others:
 * PMXCFS_C_SERVER=/path/to/pmxcfs SEEDS=100:200 bun test ./test/mount/compared-with-c.ts
 */
import { expect } from "bun:test";
import { join } from "node:path";
import { noCServer } from "../support/c-server.ts";
import { REPOSITORY } from "../support/native.ts";
import { noPrivateNode, PrivateNode } from "../support/private-node.ts";
import { testUnless } from "../support/unless.ts";

const COMPARE = join(REPOSITORY, "test", "mount", "compare.py");
const HOUR_MS = 3_600_000;

testUnless(noCServer() ?? noPrivateNode())(
  "random steps have the same results as on the C server",
  async () => {
    await using node = await PrivateNode.start();
    const c = `${process.env["PMXCFS_C_SERVER"]} -l -f`;
    const seeds = process.env["SEEDS"] ?? "1:20";
    const words = ["--c", c, "--server", "pmxcfs -l -f", "--seeds", seeds];
    const { exitCode, stdout, stderr } = await node.run(["python3", COMPARE, ...words], HOUR_MS);
    console.log(stdout.trim().split("\n").at(-1));
    expect(exitCode === 0 ? "" : `${stdout}${stderr}`).toBe("");
  },
  HOUR_MS,
);
