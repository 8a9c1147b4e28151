/**
 * Effects of the host on a server: /dev/shm full, without inodes, and freed again; SIGKILL with
 * clients connected; no more descriptors. Uses its own namespaces where needed.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { IpcLimits } from "../../src/base/limits.ts";
import { eventually } from "../support/eventually.ts";
import { isRunning } from "../support/process-state.ts";
import { LineProcess } from "../support/lines.ts";
import { native } from "../support/native.ts";
import { QbClient } from "../support/qb-client.ts";
import { echoCommand, startService, type Service } from "../support/service.ts";
import { noRingsLeft, ringDirectories } from "../support/shm.ts";
import { testUnless } from "../support/unless.ts";

setDefaultTimeout(60_000);

const isRoot = process.getuid?.() === 0;
const asRoot = testUnless(isRoot ? undefined : "needs root, to mount");

/** An echo server with its own /dev/shm, with these mount options; `first` runs before it. */
async function inItsOwnShm(mountOptions: string, first = "true"): Promise<Service> {
  const mount = `mount -t tmpfs -o ${mountOptions} tmpfs /dev/shm && { (${first}) || :; }`;
  const isolate = ["unshare", "-m", "sh", "-c", `${mount} && exec "$@"`, "sh"];
  return await startService((name) => [...isolate, ...echoCommand(name)]);
}

function inside({ pid }: Service): string[] {
  return ["nsenter", "-t", String(pid), "-m", "--"];
}

function runInside(server: Service, script: string): number {
  return Bun.spawnSync([...inside(server), "sh", "-c", script], { stderr: "ignore" }).exitCode;
}

interface Connected {
  readonly res: number;
}

/** Connects and disconnects; 0 or a negative errno. */
async function tryConnect(server: Service): Promise<number> {
  const command = [...inside(server), native("qb-client"), server.name];
  await using client = new LineProcess<Connected>(command);
  return (await client.next()).res;
}

async function survives(mountOptions: string, fill: string): Promise<void> {
  await using server = await inItsOwnShm(mountOptions);
  await using early = new LineProcess<Connected & { error?: number }>([
    ...inside(server),
    native("qb-client"),
    server.name,
  ]);
  expect((await early.next()).res).toBe(0);
  runInside(server, fill);
  // The prepared rings serve a few more clients; then connects are refused, with the reason.
  const held: LineProcess<Connected>[] = [];
  let refused = 0;
  while (refused === 0 && held.length < 10) {
    const client = new LineProcess<Connected>([
      ...inside(server),
      native("qb-client"),
      server.name,
    ]);
    refused = (await client.next()).res;
    held.push(client);
  }
  expect(refused).toBeLessThan(0);
  // The connected client is served throughout.
  expect((await early.ask("sendrecv 1 00ff")).error).toBe(0);
  expect(server.output).toContain("No space left on device");
  for (const client of held) await client[Symbol.asyncDispose]();
  runInside(server, "rm -f /dev/shm/filler*");
  await eventually("connects work again", async () => (await tryConnect(server)) === 0);
  expect((await early.ask("sendrecv 1 00ff")).error).toBe(0);
  expect(await server.stop()).toBe(0);
}

asRoot("a full /dev/shm refuses connects until there is room again", async () => {
  await survives("size=24m", "dd if=/dev/zero of=/dev/shm/filler bs=64k; true");
});

const USE_UP_INODES = "i=0; while : > /dev/shm/filler$i; do i=$((i + 1)); done; true";

asRoot("a /dev/shm out of inodes refuses connects until there are some again", async () => {
  await survives("size=200m,nr_inodes=120", USE_UP_INODES);
});

asRoot("a server starts although another user has used up the inodes of /dev/shm", async () => {
  await using server = await inItsOwnShm("size=200m,nr_inodes=120", USE_UP_INODES);
  await eventually("why", () => server.output.includes("/dev/shm is out of inodes"));
  expect(await tryConnect(server)).toBe(Errno.ENOSPC);
  runInside(server, "rm -f /dev/shm/filler*");
  await eventually("connects work", async () => (await tryConnect(server)) === 0);
  expect(await server.stop()).toBe(0);
});

asRoot("prepared rings are given up when memory is short", async () => {
  await using server = await inItsOwnShm("size=24m");
  // The prepared rings are for 1 MiB; this client needs other ones, for which there is no room.
  expect(await tryConnect(server)).toBe(0);
  const ready = `test $(ls -d /dev/shm/qb-${server.pid}-0-0-* | wc -l) = ${IpcLimits.pooledRings}`;
  await eventually("all rings ready", () => runInside(server, ready) === 0);
  runInside(server, "dd if=/dev/zero of=/dev/shm/filler bs=64k; true");
  const command = [native("qb-client"), server.name, "--max-msg-size", "1500000"];
  await using client = new LineProcess<Connected>([...inside(server), ...command]);
  expect((await client.next()).res).toBe(0);
});

test("after a SIGKILL with clients connected, the next server removes all rings", async () => {
  const first = await startService(echoCommand);
  await using client = await QbClient.open(first.name);
  await using other = await QbClient.open(first.name);
  expect((await client.call(1, "before")).error).toBe(0);
  await first.stop("SIGKILL");
  expect((await client.call(1, "while it is dead")).res).toBeLessThan(0);
  await using second = await startService(echoCommand, { name: first.name });
  await noRingsLeft(first.pid);
  expect(other.connected.res).toBe(0);
  await using again = await QbClient.open(first.name);
  expect((await again.call(1, "after")).error).toBe(0);
  expect(await second.stop()).toBe(0);
  await noRingsLeft(second.pid);
});

/** Holds `count` connections until its stdin ends. */
async function hold(name: string, count: number, uid: number): Promise<LineProcess<unknown>> {
  const who = isRoot ? ["--uid", String(uid), "--gid", String(uid)] : [];
  const flags = ["--idle", "--clients", String(count), "--max-msg-size", "12328", ...who];
  const holder = new LineProcess<unknown>([native("qb-load"), name, ...flags]);
  await holder.next();
  return holder;
}

asRoot("what 50 clients of a killed server cannot remove, the next one does", async () => {
  const first = await startService(echoCommand);
  await using clients = await hold(first.name, 50, 33);
  expect(ringDirectories(first.pid).length).toBeGreaterThanOrEqual(50);
  await first.stop("SIGKILL");
  await clients.kill();
  await using second = await startService(echoCommand, { name: first.name });
  await noRingsLeft(first.pid);
  expect(await second.stop()).toBe(0);
});

asRoot("full: it says so once, serves those it has, lets root in, recovers by itself", async () => {
  const limit = ["sh", "-c", 'ulimit -n 400; exec "$@"', "sh"];
  const limited = (name: string) => [...limit, ...echoCommand(name)];
  await using server = await startService(limited);
  const said = await eventually("how many", () => /up to (\d+) conn/.exec(server.output)?.[1]);
  const room = Number(said);
  expect(room).toBeGreaterThan(100);
  const held = await hold(server.name, room, 33);
  const late = await Promise.all(
    [1, 2, 3].map(async () => await QbClient.open(server.name, { uid: 33, gid: 33 })),
  );
  for (const { connected } of late) expect(connected.res).toBeLessThan(0);
  await using root = await QbClient.open(server.name);
  expect((await root.call(1, "root gets in")).error).toBe(0);
  expect(server.output.split("no room for more connections")).toHaveLength(2);
  await held[Symbol.asyncDispose]();
  for (const client of late) await client[Symbol.asyncDispose]();
  await eventually("room again", async () => {
    await using client = await QbClient.open(server.name, { uid: 33, gid: 33 });
    return client.connected.res === 0;
  });
  expect(await server.stop()).toBe(0);
  expect(isRunning(server.pid)).toBe(false);
  await noRingsLeft(server.pid);
});
