/** Log lines about messages of other nodes that are dropped. */
import { expect, test } from "bun:test";
import { DroppedMessages } from "../../src/pmxcfs/replication/services/dropped-messages.ts";
import { rememberingLog } from "../pmxcfs/support.ts";

test("a node that sends one bad message after the other gets a few lines, then a count", () => {
  const log = rememberingLog();
  const dropped = new DroppedMessages(log);
  for (let count = 0; count < 1000; count++) dropped.report("a key of node 3", 3);
  dropped.report("a key of node 4", 4);
  expect(log.lines.filter((line) => line.includes("node 3")).length).toBeLessThan(10);
  expect(log.lines).toContain("a key of node 4");
  dropped.close();
  expect(log.lines.at(-1)).toMatch(/^dropped 99\d more messages, most of node 3$/);
});
