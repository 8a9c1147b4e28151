/** The socket for `pmxcfs-ipc cluster`: readers that ask nothing keep no other reader out. */
import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ObserveLimits } from "../../src/base/limits.ts";
import { askCluster } from "../../src/observe/ask-cluster.ts";
import { serveCluster } from "../../src/observe/cluster-socket.ts";
import type { Running } from "../../src/observe/endpoint.ts";
import { eventually } from "../support/eventually.ts";

setDefaultTimeout(60_000);

let directory: string;
let path: string;
let running: Running;
let observer: ((event: object) => void) | undefined;
/** The answer to \`view\`. */
let shown: boolean | string;
const sockets: Socket[] = [];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-cluster-"));
  path = join(directory, "run", "socket");
  shown = true;
  const started = await serveCluster(path, {
    view: () => ({ shown }),
    verify: () => true,
    watch(given) {
      observer = given;
    },
  });
  if (typeof started === "string") throw new Error(started);
  running = started;
});

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  if (existsSync(path)) running.close();
  rmSync(directory, { recursive: true });
});

/** A connection that asks nothing, and whether the server has closed it. */
async function silent(): Promise<{ readonly socket: Socket; closed: boolean }> {
  const socket = connect({ path });
  sockets.push(socket);
  const state = { socket, closed: false };
  socket.on("close", () => (state.closed = true));
  socket.on("error", () => {});
  await new Promise((resolve) => {
    socket.once("connect", resolve);
  });
  return state;
}

async function viewed(): Promise<unknown> {
  for await (const answer of askCluster(path, "view")) return answer;
  return undefined;
}

test("a reader is answered while as many as there may be ask nothing", async () => {
  const [oldest] = await Promise.all(Array.from({ length: ObserveLimits.statusReaders }, silent));
  expect(await viewed()).toEqual({ shown: true });
  await eventually("the oldest is disconnected", () => oldest?.closed);
});

test("an answer that arrives in many parts keeps its characters", async () => {
  // After an odd number of bytes, so that parts of even sizes end within a character.
  shown = `x${"\u00E9".repeat(300_000)}`;
  expect(await viewed()).toEqual({ shown });
});

test("readers that ask nothing do not end a watcher", async () => {
  const abort = new AbortController();
  const events: unknown[] = [];
  const watching = (async () => {
    for await (const event of askCluster(path, "watch", abort.signal)) events.push(event);
  })();
  await eventually("the watcher is known", () => observer);
  await Promise.all(Array.from({ length: ObserveLimits.statusReaders + 1 }, silent));
  expect(await viewed()).toEqual({ shown: true });
  observer?.({ event: 1 });
  await eventually("the event", () => events.length > 0);
  expect(events).toEqual([{ event: 1 }]);
  abort.abort();
  await watching.catch(() => {});
  await eventually("nothing is watched", () => observer === undefined);
});

test("at the end of the server, readers and watchers are disconnected", async () => {
  const reader = await silent();
  const watcher = await silent();
  watcher.socket.write("watch");
  await eventually("the watcher is known", () => observer);
  running.close();
  await eventually("both are disconnected", () => reader.closed && watcher.closed);
  expect(observer).toBeUndefined();
});
