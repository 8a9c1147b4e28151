/**
 * A server without clients is not woken by anything, not even by the garbage collection timer.
 * (With clients, Bun wakes it once a second to check socket timeouts, which our sockets do not
 * have.)
 */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { eventually } from "../support/eventually.ts";
import { echoCommand, startService } from "../support/service.ts";

/** Longer than the interval of Bun's garbage collection timer. */
const WATCHED_MS = 1500;

/** How often the main thread of a process was scheduled. */
function switches(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  const counts = [...status.matchAll(/ctxt_switches:\s+(\d+)/g)];
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
}

test("an idle server sleeps for longer than a second", async () => {
  const server = await startService(echoCommand);
  let seen = { count: -1, at: 0 };
  // The compiler threads of the start end one by one.
  await eventually("a while without a wake-up", () => {
    const count = switches(server.pid);
    if (count !== seen.count) seen = { count, at: performance.now() };
    return performance.now() - seen.at > WATCHED_MS;
  });
  expect(await server.stop()).toBe(0);
});
