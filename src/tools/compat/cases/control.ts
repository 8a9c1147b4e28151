/**
 * Cases about what a server does without a request: events and flow control. They need a service
 * with these requests for it (control-server.ts, test/native/qb-control-server.c):
 *
 *   id 100, body u32 N: answers, then sends N events (id 200, body u32 0..N-1) to the caller
 *   id 101, body u32 N: the same to every connection
 *   id 102, body u32 LEVEL: answers, then holds requests at LEVEL for 300 ms
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

function events(count: number, of = "a"): Step[] {
  return Array.from({ length: count }, (_, number) => ({
    do: "event",
    of,
    id: ControlId.EVENT,
    expect: { body: u32Bytes(number) },
  }));
}

export const CONTROL_CASES: readonly Case[] = [
  {
    name: "events.three",
    shows: "Events arrive in order, with their own ids",
    on: ["control"],
    steps: [{ do: "connect" }, ask(ControlId.EVENTS, 3), ...events(3)],
  },
  {
    name: "events.bulk",
    shows: "A hundred events wait in the ring until the client reads them",
    on: ["control"],
    steps: [{ do: "connect" }, ask(ControlId.EVENTS, 100), { do: "ping" }, ...events(100)],
  },
  {
    name: "events.between",
    shows: "Events do not disturb answers, nor answers events",
    on: ["control"],
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
    shows: "An event for all connections reaches one that did not ask for it",
    on: ["control"],
    steps: [
      { do: "connect" },
      { do: "connect", of: "b" },
      { do: "ping", of: "b" },
      ask(ControlId.BROADCAST, 2),
      ...events(2),
      ...events(2, "b"),
    ],
  },
  {
    name: "flow.stop",
    shows: "Flow control 1 makes a send fail with EAGAIN until it is lifted",
    on: ["control"],
    steps: [
      { do: "connect" },
      { do: "await held", level: 1 },
      { do: "await sending" },
      { do: "ping" },
    ],
  },
  {
    name: "flow.willing",
    shows: "Flow control 2 stops a client that agreed to it",
    on: ["control"],
    steps: [
      { do: "connect" },
      { do: "flow control", max: 2 },
      { do: "await held", level: 2 },
      { do: "await sending" },
    ],
  },
  {
    name: "flow.unwilling",
    shows: "Flow control 2 does not stop a client that did not agree to it",
    on: ["control"],
    steps: [
      { do: "connect" },
      { do: "connect", of: "b" },
      { do: "flow control", of: "b", max: 2 },
      { do: "await held", of: "b", level: 2 },
      { do: "ping" },
      { do: "await sending", of: "b" },
    ],
  },
];
