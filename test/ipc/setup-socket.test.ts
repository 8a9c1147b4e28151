/** One accepted setup socket without a service: peers that do not read. */
import { afterEach, expect, test } from "bun:test";
import type { Connection } from "../../src/ipc/connection/connection.ts";
import { type HandshakeEvents, SetupSocket } from "../../src/ipc/setup/setup-socket.ts";
import type { SocketLoop } from "../../src/ipc/setup/socket-loop.ts";
import { closeDescriptor } from "../../src/platform/files.ts";
import { acceptOn, connectTo, listenOn, sendBytes } from "../../src/platform/socket.ts";
import { ConnectionRequest, ConnectionResponse, QbMessage } from "../../src/wire/qb.ts";
import { encode } from "../../src/wire/struct.ts";
import { eventually } from "../support/eventually.ts";
import { uniqueName } from "../support/service.ts";

const REQUEST = encode(ConnectionRequest, {
  id: QbMessage.AUTHENTICATE,
  size: ConnectionRequest.size,
  maxMessageBytes: 12_328,
});
const ANSWER = new Uint8Array(ConnectionResponse.size);
const PEER = { pid: process.pid, uid: 0, gid: 0 };

/** A client's socket, as Bun has it. */
interface Client {
  /** shutdown(2) of the reading end. */
  shutdown(reading: true): void;
  terminate(): void;
}

const cleanUp: (() => void)[] = [];

afterEach(() => {
  for (const undo of cleanUp.splice(0)) undo();
});

/** A client that has sent its set-up request, and its accepted socket; `begin` reads it. */
async function accepted(onSetupRequest: (socket: SetupSocket) => void) {
  const name = uniqueName("setup");
  const listener = listenOn(name, 1);
  const fd = connectTo(name);
  sendBytes(fd, REQUEST);
  const server = acceptOn(listener);
  closeDescriptor(listener);
  const ended: string[] = [];
  const loop = { add: () => 1, change: () => {}, remove: () => void ended.push("closed") };
  const events: HandshakeEvents = { onSetupRequest, onHandshakeEnd: () => {}, onNotify: () => {} };
  const socket = new SetupSocket(server, PEER, loop as unknown as SocketLoop, events);
  const received: number[] = [];
  const data = (_client: unknown, bytes: Uint8Array): void => void received.push(...bytes);
  const options = { fd, socket: { data } };
  const client = (await Bun.connect(
    options as unknown as Parameters<typeof Bun.connect>[0],
  )) as unknown as Client;
  cleanUp.push(() => {
    client.terminate();
    socket.close();
  });
  const connection = {
    hungUp: () => void ended.push("hung up"),
    flushNotifies: () => void ended.push("flush"),
  } as unknown as Connection;
  return { socket, client, connection, ended, received };
}

test("a refused peer that has shut down its reading end is closed at once", async () => {
  const { socket, client, ended } = await accepted((peer) => peer.refuse(ANSWER));
  client.shutdown(true);
  socket.begin();
  expect(ended).toEqual(["closed"]);
  expect(socket.state).toBe("closing");
});

test("an accepted peer that has shut down its reading end ends once announced", async () => {
  const { socket, client, connection, ended } = await accepted((peer) => {
    peer.queue();
    peer.admit(connection, ANSWER);
    ended.push("announced");
  });
  client.shutdown(true);
  socket.begin();
  await Promise.resolve();
  expect(ended).toEqual(["announced", "hung up"]);
});

test("an event ends the connection of a peer that has shut down its reading end", async () => {
  const { socket, client, connection, ended } = await accepted((peer) => {
    peer.queue();
    peer.admit(connection, ANSWER);
  });
  socket.begin();
  expect(socket.state).toBe("connected");
  client.shutdown(true);
  expect(socket.notify(1)).toBe(0);
  expect(socket.notify(1)).toBe(0);
  await Promise.resolve();
  expect(ended).toEqual(["hung up"]);
});

test("events that were sent while the answer waited for room are announced after it", async () => {
  const { socket, connection, ended } = await accepted((peer) => {
    peer.queue();
    peer.admit(connection, ANSWER);
  });
  while (sendBytes(socket.fd, ANSWER) > 0);
  socket.begin();
  expect([socket.state, socket.notify(1)]).toEqual(["admitted", 0]);
  await eventually("the answer sent", () => {
    socket.onWritable();
    return socket.state === "connected";
  });
  expect(ended).toEqual(["flush"]);
});

test("an answer that waits for room is not changed by the next one", async () => {
  const answer = new Uint8Array(ConnectionResponse.size).fill(1);
  const { socket, connection, received } = await accepted((peer) => {
    peer.queue();
    peer.admit(connection, answer);
  });
  while (sendBytes(socket.fd, ANSWER) > 0);
  socket.begin();
  expect(socket.state).toBe("admitted");
  answer.fill(2);
  await eventually("the answer sent", () => {
    socket.onWritable();
    return socket.state === "connected";
  });
  await eventually("the answer received", () => received.at(-1) !== 0);
  await eventually(
    "all of it",
    () => received.filter((byte) => byte === 1).length === answer.length,
  );
  expect(received).not.toContain(2);
});
