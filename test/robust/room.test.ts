/**
 * Room in /dev/shm: no uid except root may take more than its share, a reserve is kept for root,
 * and a client that is refused for lack of room gets ENOSPC, with the cause in the log.
 */
import { expect, setDefaultTimeout } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { eventually } from "../support/eventually.ts";
import type { Identity } from "../support/identity.ts";
import { NOBODY, ROOT, WWW_DATA } from "../support/identity.ts";
import { LineProcess } from "../support/lines.ts";
import { native } from "../support/native.ts";
import { echoCommand, type Service, startService } from "../support/service.ts";
import { testUnless } from "../support/unless.ts";

setDefaultTimeout(60_000);

const asRoot = testUnless(process.getuid?.() === 0 ? undefined : "needs root, to mount");

/** An echo server with its own /dev/shm of 64 MiB, the default of a container. */
async function inAContainer(more = ""): Promise<Service> {
  const mount = `mount -t tmpfs -o size=64m${more} tmpfs /dev/shm && exec "$@"`;
  const isolate = ["unshare", "-m", "sh", "-c", mount, "sh"];
  return await startService((name) => [...isolate, ...echoCommand(name)]);
}

type Client = LineProcess<{ readonly res: number }>;

/** A client that requests 1 MiB, as PVE's do, and the result of its connect. */
async function connect(
  server: Service,
  { uid, gid }: Identity,
  held: AsyncDisposableStack,
): Promise<{ readonly client: Client; readonly res: number }> {
  const enter = ["nsenter", "-t", String(server.pid), "-m", "--"];
  const identity = ["--uid", String(uid), "--gid", String(gid)];
  const client: Client = new LineProcess([...enter, native("qb-client"), server.name, ...identity]);
  held.use(client);
  return { client, res: (await client.next()).res };
}

/** Connects as one uid until it is refused: the number of connections, and the errno. */
async function fill(
  server: Service,
  who: Identity,
  held: AsyncDisposableStack,
): Promise<{ readonly count: number; readonly res: number }> {
  for (let count = 0; ; count++) {
    const { res } = await connect(server, who, held);
    if (res !== 0 || count > 30) return { count, res };
  }
}

asRoot("one uid gets half, all but root leave a reserve, root gets in", async () => {
  await using server = await inAContainer();
  await using held = new AsyncDisposableStack();
  await eventually("what the bound is", () => server.output.includes("serving"));
  expect(server.output).toMatch(/up to (19|20) connections of PVE's clients.*--shm-size/);
  // A connection takes 3 MiB and some pages.
  expect(await fill(server, WWW_DATA, held)).toEqual({ count: 10, res: Errno.ENOSPC });
  await eventually("the cause", () => server.output.includes("that one uid may have"));
  expect(server.output).toContain("--max-shm-per-uid");
  const others = await fill(server, NOBODY, held);
  expect(others.res).toBe(Errno.ENOSPC);
  expect(others.count).toBeGreaterThanOrEqual(8);
  const cause = "kept for root): make /dev/shm larger";
  await eventually("the cause", () => server.output.includes(cause));
  expect(server.output).toContain("--shm-size");
  expect((await connect(server, ROOT, held)).res).toBe(0);
});

asRoot("names for files in /dev/shm are kept for root, too", async () => {
  await using server = await inAContainer(",nr_inodes=140");
  await using held = new AsyncDisposableStack();
  await eventually("what the bound is", () => server.output.includes("serving"));
  expect(server.output).toContain("up to 7 connections");
  const { count, res } = await fill(server, WWW_DATA, held);
  expect(count).toBe(7);
  expect(res).toBeLessThan(0);
  expect((await connect(server, ROOT, held)).res).toBe(0);
});

asRoot("a client that disconnects frees its room", async () => {
  await using server = await inAContainer();
  await using held = new AsyncDisposableStack();
  const first = await connect(server, WWW_DATA, held);
  await fill(server, WWW_DATA, held);
  await first.client[Symbol.asyncDispose]();
  await eventually("room for one", async () => {
    return (await connect(server, WWW_DATA, held)).res === 0;
  });
});
