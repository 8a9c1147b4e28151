/**
 * Cases about libqb itself, for any service: set-up, sizes, order, several connections, clients
 * that end. They cover the scenarios of libqb's own IPC tests (check_ipc.c) that a client can run.
 */
import { Errno } from "../../../base/errno.ts";
import type { Case, Step } from "../case.ts";

const PING = 9;
const CLIENTS = ["a", "b", "c", "d", "e", "f"];

/** The largest body of a message of `size` bytes. */
function largest(size: number): number {
  return size - 16;
}

function sized(size: number): Case {
  return {
    name: `sizes.${size}`,
    shows: `A connection of ${size} bytes carries a request of that size, and small ones after it`,
    steps: [
      { do: "connect", size },
      { do: "ping", body: { pattern: largest(size) } },
      { do: "ping", body: { pattern: 1 } },
      { do: "ping", body: { pattern: largest(size) - 1 } },
      { do: "ping" },
    ],
  };
}

const HANDSHAKE: readonly Case[] = [
  {
    name: "handshake.connect",
    shows: "A client that asks for PVE's message size connects and gets an answer",
    steps: [{ do: "connect" }, { do: "ping" }, { do: "disconnect" }],
  },
  {
    name: "handshake.smallest",
    shows: "A client that asks for a message size of 1 gets the smallest size, 12,328 bytes",
    steps: [
      { do: "connect", size: 1 },
      { do: "ping", body: { pattern: 12_000 } },
    ],
  },
  {
    name: "handshake.again",
    shows: "Twenty connections one after the other leave no ring files",
    needs: ["rings"],
    steps: Array.from({ length: 20 }, (): Step[] => [
      { do: "connect", size: 12_328 },
      { do: "ping" },
      { do: "disconnect" },
    ])
      .flat()
      .concat({ do: "await rings gone" }),
    deadlineMs: 20_000,
  },
  {
    name: "handshake.absent",
    shows: "A connect to a name without a server fails with ECONNREFUSED at once",
    needs: ["restart"],
    steps: [
      { do: "server", action: "stop" },
      { do: "connect", expect: [Errno.ECONNREFUSED] },
      { do: "server", action: "start" },
      { do: "connect" },
      { do: "ping" },
    ],
    deadlineMs: 20_000,
  },
];

const SIZES: readonly Case[] = [
  sized(12_328),
  sized(65_536),
  sized(1_048_576),
  sized(4_194_304),
  {
    name: "sizes.too-large",
    shows: "A request larger than the connection's size fails at once; the connection stays usable",
    steps: [
      { do: "connect", size: 16_384 },
      { do: "send", id: PING, body: { pattern: 40_000 }, expect: Errno.EMSGSIZE },
      { do: "ping" },
    ],
  },
  {
    name: "sizes.wrap",
    shows: "Messages of odd sizes stay intact while the ring wraps around",
    steps: [
      { do: "connect", size: 12_328 },
      { do: "repeat", count: 300, body: { pattern: 5003 } },
      { do: "repeat", count: 300, body: { pattern: 7 } },
      { do: "repeat", count: 100, body: { pattern: 6001 } },
    ],
  },
];

const ORDER: readonly Case[] = [
  {
    name: "traffic.repeat",
    shows: "A thousand requests one by one are answered, and the server reads each wake-up byte",
    steps: [{ do: "connect" }, { do: "repeat", count: 1000, body: "round trip" }],
    deadlineMs: 20_000,
  },
  {
    name: "traffic.pipeline",
    shows: "Two hundred requests sent before the first answer is read are answered in order",
    steps: [{ do: "connect" }, { do: "pipeline", count: 200 }, { do: "ping" }],
  },
  {
    name: "traffic.pipelines",
    shows: "Successive pipelines on one connection are answered in order",
    steps: [
      { do: "connect", size: 65_536 },
      ...Array.from({ length: 5 }, (): Step => ({ do: "pipeline", count: 100 })),
    ],
  },
  {
    name: "traffic.nothing",
    shows: "A client that receives without a request gets EAGAIN or ETIMEDOUT",
    steps: [
      { do: "connect" },
      { do: "receive", id: PING, expect: { fails: [Errno.EAGAIN, Errno.ETIMEDOUT] } },
      { do: "ping" },
    ],
  },
  {
    name: "traffic.empty-body",
    shows: "A request without a body is answered",
    steps: [{ do: "connect" }, { do: "ping", body: "" }, { do: "ping", body: "" }],
  },
];

const MANY: readonly Case[] = [
  {
    name: "connections.six",
    shows: "Six simultaneous connections each get their own answers",
    steps: [
      ...CLIENTS.map((client): Step => ({ do: "connect", client, size: 65_536 })),
      ...CLIENTS.map((client): Step => ({ do: "ping", client, body: `from ${client}` })),
      ...CLIENTS.toReversed().map((client): Step => ({
        do: "ping",
        client,
        body: `again ${client}`,
      })),
    ],
    deadlineMs: 20_000,
  },
  {
    name: "connections.slow-reader",
    shows: "A client that does not read its answers delays no other client",
    steps: [
      { do: "connect", size: 12_328 },
      { do: "connect", client: "b", size: 65_536 },
      { do: "fill" },
      { do: "repeat", client: "b", count: 20, body: "served" },
    ],
    deadlineMs: 20_000,
  },
  {
    name: "connections.fork",
    shows: "A forked child makes its own connection, and its parent's connection stays usable",
    clients: ["c"],
    steps: [{ do: "connect" }, { do: "ping" }, { do: "fork" }, { do: "ping", body: "parent" }],
  },
];

const ENDS: readonly Case[] = [
  {
    name: "end.disconnect",
    shows: "After a disconnect the server removes the ring files",
    needs: ["rings"],
    steps: [{ do: "connect" }, { do: "ping" }, { do: "disconnect" }, { do: "await rings gone" }],
  },
  {
    name: "end.killed",
    shows: "After a client is killed the server removes its ring files and serves others",
    needs: ["rings"],
    steps: [
      { do: "connect" },
      { do: "connect", client: "b" },
      { do: "ping" },
      { do: "kill" },
      { do: "await rings gone" },
      { do: "ping", client: "b" },
    ],
  },
  {
    name: "end.killed-unread",
    shows: "A client killed with unread answers leaves no ring files",
    needs: ["rings"],
    steps: [
      { do: "connect" },
      ...Array.from({ length: 10 }, (): Step => ({ do: "send", id: PING, body: "unread" })),
      { do: "kill" },
      { do: "await rings gone" },
    ],
  },
  {
    name: "end.request",
    shows: "libqb's own message -3 ends the connection without an answer",
    steps: [{ do: "connect" }, { do: "ping" }, { do: "send", id: -3 }, { do: "await hang-up" }],
  },
  {
    name: "end.stop",
    shows: "A server that stops disconnects its clients, which can connect to the next one",
    needs: ["restart"],
    steps: [
      { do: "connect" },
      { do: "ping" },
      { do: "server", action: "stop" },
      { do: "await hang-up" },
      { do: "call", id: PING, expect: { fails: [Errno.ENOTCONN, Errno.EPIPE, Errno.ECONNRESET] } },
      { do: "disconnect" },
      { do: "server", action: "start" },
      { do: "connect" },
      { do: "ping" },
    ],
    deadlineMs: 20_000,
  },
  {
    name: "end.server-killed",
    shows: "A server that is killed loses its clients, which can connect to the next one",
    needs: ["restart"],
    steps: [
      { do: "connect" },
      { do: "ping" },
      { do: "server", action: "kill" },
      { do: "await hang-up" },
      { do: "disconnect" },
      { do: "server", action: "start" },
      { do: "connect" },
      { do: "ping" },
    ],
    deadlineMs: 20_000,
  },
];

export const TRANSPORT_CASES: readonly Case[] = [
  ...HANDSHAKE,
  ...SIZES,
  ...ORDER,
  ...MANY,
  ...ENDS,
];
