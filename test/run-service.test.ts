/** The messages of a server to its service manager (sd_notify(3)), and its --ready-fd. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "./support/eventually.ts";
import { QbClient } from "./support/qb-client.ts";
import { Datagrams } from "./support/datagrams.ts";
import {
  echoCommand,
  isListening,
  libraryCommand,
  program,
  startService,
  uniqueName,
} from "./support/service.ts";

setDefaultTimeout(60_000);

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-test-"));
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

test("READY is sent once the server listens, STOPPING at SIGTERM, nothing in between", async () => {
  const path = join(directory, "notify");
  await using manager = await Datagrams.at(path);
  const name = uniqueName();
  const starting = startService(echoCommand, { name, environment: { NOTIFY_SOCKET: path } });
  expect(await manager.next()).toBe(`READY=1\nSTATUS=serving ${name}`);
  expect(isListening(name)).toBe(true);
  await using server = await starting;
  server.signal("SIGTERM");
  expect(await manager.next()).toBe("STOPPING=1");
  expect(await server.ended()).toBe(0);
});

test("WATCHDOG is sent repeatedly, at half of the allowed interval", async () => {
  const path = `@${uniqueName("notify")}`;
  await using manager = await Datagrams.at(path);
  const environment = { NOTIFY_SOCKET: path, WATCHDOG_USEC: "100000" };
  await using server = await startService(echoCommand, { environment });
  expect(await manager.next()).toStartWith("READY=1");
  for (let beat = 0; beat < 3; beat++) expect(await manager.next()).toBe("WATCHDOG=1");
  server.signal("SIGTERM");
  let last = await manager.next();
  for (let beat = 0; beat < 100 && last === "WATCHDOG=1"; beat++) last = await manager.next();
  expect(last).toBe("STOPPING=1");
  expect(await server.ended()).toBe(0);
});

test("no WATCHDOG is sent if WATCHDOG_PID is another process", async () => {
  const path = join(directory, "other");
  await using manager = await Datagrams.at(path);
  const environment = { NOTIFY_SOCKET: path, WATCHDOG_USEC: "2000", WATCHDOG_PID: "1" };
  await using server = await startService(echoCommand, { environment });
  expect(await manager.next()).toStartWith("READY=1");
  server.signal("SIGTERM");
  expect(await manager.next()).toBe("STOPPING=1");
  expect(await server.ended()).toBe(0);
});

test("a server whose name is taken never sends READY", async () => {
  const path = join(directory, "taken");
  await using manager = await Datagrams.at(path);
  await using holder = await startService(echoCommand);
  const environment = { ...process.env, NOTIFY_SOCKET: path };
  const words = [...program(), "echo", "--socket", holder.name];
  expect(Bun.spawnSync(words, { env: environment, stderr: "ignore" }).exitCode).toBe(1);
  const metrics = ["--metrics", "unix:/nowhere/metrics"];
  const other = [...program(), "echo", "--socket", uniqueName(), ...metrics];
  const { exitCode, stderr } = Bun.spawnSync(other, { env: environment, stderr: "pipe" });
  expect(exitCode).toBe(1);
  expect(stderr.toString()).toContain("metrics: cannot listen on /nowhere/metrics");
  // The next message is from the server that is started after them.
  await using server = await startService(echoCommand, { environment: { NOTIFY_SOCKET: path } });
  expect(await manager.next()).toBe(`READY=1\nSTATUS=serving ${server.name}`);
  expect(await server.stop()).toBe(0);
  expect(await holder.stop()).toBe(0);
});

test("a server serves even if its manager's socket does not exist", async () => {
  const environment = { NOTIFY_SOCKET: join(directory, "absent"), WATCHDOG_USEC: "2000" };
  await using server = await startService(echoCommand, { environment });
  await using client = await QbClient.open(server.name);
  expect(await client.call(1, "text")).toMatchObject({ error: 0 });
  expect(await server.stop()).toBe(0);
});

test("SIGHUP and SIGUSR2 are logged, and do not end the server", async () => {
  await using server = await startService(echoCommand);
  await using client = await QbClient.open(server.name);
  for (const signal of ["SIGHUP", "SIGUSR2"] as const) {
    server.signal(signal);
    await eventually(`a line about ${signal}`, () => server.output.includes(`${signal}: `));
    expect((await client.call(1, "still there")).error).toBe(0);
  }
  expect(await server.stop()).toBe(0);
});

test("SIGHUP, SIGUSR1 and SIGUSR2 during the start do not end the server", async () => {
  await using server = await startService(libraryCommand("signalled", directory));
  expect(await server.stop()).toBe(0);
});

test("--ready-fd gets one line once clients can connect, and is closed", async () => {
  const name = uniqueName("ready");
  const script = 'exec "$@" 3>&1 >/dev/null';
  const server = Bun.spawn(["sh", "-c", script, "sh", ...echoCommand(name), "--ready-fd", "3"], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "ignore",
  });
  try {
    // Ends when the last descriptor of the pipe is closed, while the server runs.
    expect(await server.stdout.text()).toBe("ready\n");
    expect(isListening(name)).toBe(true);
    expect(server.exitCode).toBeNull();
  } finally {
    server.kill("SIGTERM");
    expect(await server.exited).toBe(0);
  }
});

test("a ready descriptor that is not open is refused before anything starts", () => {
  const words = [...program(), "echo", "--socket", uniqueName("ready"), "--ready-fd", "99"];
  const { exitCode, stderr } = Bun.spawnSync(words);
  expect(exitCode).toBe(2);
  expect(stderr.toString()).toContain("descriptor 99 is not open");
});
