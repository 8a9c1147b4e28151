/**
 * SIGTERM at any time during a start, the first connects and the stop itself, once and twice: the
 * server ends and leaves nothing in /dev/shm. The delays are seeded.
 */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { eventually } from "../support/eventually.ts";
import { Moments } from "../support/moments.ts";
import { native } from "../support/native.ts";
import { QbClient } from "../support/qb-client.ts";
import { echoCommand, isListening, startService, uniqueName } from "../support/service.ts";
import { noRingsLeft, ringDirectories } from "../support/shm.ts";

setDefaultTimeout(120_000);

const pids: number[] = [];
const moments = new Moments(20_261_126);

/** Sends SIGTERMs, each after up to `mostMs`, while clients connect; returns the exit code. */
async function endAmongConnects(...mostMs: readonly number[]): Promise<number> {
  const server = await startService(echoCommand);
  pids.push(server.pid);
  const clients = [["--connects"], ["--body", "200"]].map((kind) =>
    Bun.spawn([native("qb-load"), server.name, "--ms", "2000", ...kind], {
      stdout: "ignore",
      stderr: "ignore",
    }),
  );
  try {
    for (const most of mostMs) {
      await moments.pass(most);
      server.signal("SIGTERM");
    }
    return await server.ended();
  } finally {
    for (const client of clients) client.kill("SIGKILL");
    for (const client of clients) await client.exited;
  }
}

afterAll(async () => {
  await noRingsLeft(...pids);
});

test("one SIGTERM during the first connects ends with 0, and nothing is left", async () => {
  for (let round = 0; round < 20; round++) {
    expect(await endAmongConnects(60)).toBe(0);
    expect(ringDirectories(...pids)).toEqual([]);
  }
});

test("a second SIGTERM ends the server sooner, and nothing is left", async () => {
  let sooner = 0;
  for (let round = 0; round < 20; round++) {
    if ((await endAmongConnects(60, 3)) !== 0) sooner++;
    expect(ringDirectories(...pids)).toEqual([]);
  }
  expect(sooner).toBeGreaterThan(0);
});

test("SIGTERM and SIGINT at once leave nothing of a connected client's rings", async () => {
  const server = await startService(echoCommand);
  pids.push(server.pid);
  await using client = await QbClient.open(server.name);
  expect((await client.call(1, "x")).error).toBe(0);
  await eventually("ready rings", () => ringDirectories(server.pid).length > 1);
  // Both signals are pending until it continues, so the second arrives when the stop begins.
  server.signal("SIGSTOP");
  server.signal("SIGTERM");
  server.signal("SIGINT");
  server.signal("SIGCONT");
  expect(await server.ended()).toBe(1);
  expect(ringDirectories(server.pid)).toEqual([]);
});

test("no handled signal leaves anything behind at any time during a start", async () => {
  for (let round = 0; round < 24; round++) {
    const signal = (["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const)[round % 4] ?? "SIGTERM";
    const name = uniqueName();
    const stdio = { stdin: "ignore", stdout: "ignore", stderr: "ignore" } as const;
    const server = Bun.spawn([...echoCommand(name)], stdio);
    pids.push(server.pid);
    await moments.pass(100);
    server.kill(signal);
    const isUp = () => server.exitCode !== null || server.signalCode !== null || isListening(name);
    await eventually("up, or ended", isUp);
    server.kill("SIGTERM");
    await server.exited;
    expect(ringDirectories(server.pid)).toEqual([]);
  }
});
