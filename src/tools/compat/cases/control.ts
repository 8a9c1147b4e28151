/**
 * Cases about events and flow control, which come without a request. They need a service with
 * these requests (control-server.ts, test/native/qb-control-server.c):
 *
 *   id 100, body u32 N: answers, then sends N events (id 200, body u32 0..N-1) to the caller
 *   id 101, body u32 N: the same to every connection
 *   id 102, body u32 LEVEL: answers, then sets flow control to LEVEL for 300 ms
 */
import type { Case, Step } from "../case.ts";

export const ControlId = { EVENTS: 100, BROADCAST: 101, HOLD: 102, EVENT: 200 } as const;

/** Duration of the flow control of request 102. */
export const HOLD_MS = 300;

/** `value` as 4 bytes, little-endian. */
export function u32Bytes(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function ask(id: number, value: number): Step {
  return { do: "call", id, body: u32Bytes(value), expect: { body: u32Bytes(value) } };
}

function events(count: number, client = "a"): Step[] {
  return Array.from({ length: count }, (_, number) => ({
    do: "event",
    client,
    id: ControlId.EVENT,
    expect: { body: u32Bytes(number) },
  }));
}

export const CONTROL_CASES: readonly Case[] = [
  {
    name: "events.three",
    shows: "Events arrive in order, with their own ids",
    profiles: ["control"],
    steps: [{ do: "connect" }, ask(ControlId.EVENTS, 3), ...events(3)],
  },
  {
    name: "events.bulk",
    shows: "A hundred events wait in the ring until the client reads them",
    profiles: ["control"],
    steps: [{ do: "connect" }, ask(ControlId.EVENTS, 100), { do: "ping" }, ...events(100)],
  },
  {
    name: "events.between",
    shows: "Events and answers do not disturb each other",
    profiles: ["control"],
    steps: [
      { do: "connect" },
      ask(ControlId.EVENTS, 2),
      { do: "pipeline", count: 50 },
      ...events(2),
      ask(ControlId.EVENTS, 1),
      ...events(1),
    ],
  },
  {
    name: "events.broadcast",
    shows: "An event for all connections reaches a connection that did not request it",
    profiles: ["control"],
    steps: [
      { do: "connect" },
      { do: "connect", client: "b" },
      { do: "ping", client: "b" },
      ask(ControlId.BROADCAST, 2),
      ...events(2),
      ...events(2, "b"),
    ],
  },
  {
    name: "flow.stop",
    shows: "Flow control 1 makes a send fail with EAGAIN until it ends",
    profiles: ["control"],
    steps: [
      { do: "connect" },
      { do: "await flow control", level: 1 },
      { do: "await sending" },
      { do: "ping" },
    ],
  },
  {
    name: "flow.willing",
    shows: "Flow control 2 stops a client that agreed to it",
    profiles: ["control"],
    steps: [
      { do: "connect" },
      { do: "flow control", max: 2 },
      { do: "await flow control", level: 2 },
      { do: "await sending" },
    ],
  },
  {
    name: "flow.unwilling",
    shows: "Flow control 2 does not stop a client that did not agree to it",
    profiles: ["control"],
    steps: [
      { do: "connect" },
      { do: "connect", client: "b" },
      { do: "flow control", client: "b", max: 2 },
      { do: "await flow control", client: "b", level: 2 },
      { do: "ping" },
      { do: "await sending", client: "b" },
    ],
  },
];
