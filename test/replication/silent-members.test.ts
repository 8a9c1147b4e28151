/** Log lines about a member that a synchronisation waits for. */
import { expect, test } from "bun:test";
import type { Instant, Member } from "../../src/pmxcfs/replication/events.ts";
import { encodeControl, Type } from "../../src/pmxcfs/replication/message.ts";
import { A, at, B, change, drain, machineOf } from "./notes-machine.ts";

test("logs the name of a member that is silent for 5 s", () => {
  const { machine } = machineOf(A);
  machine.confchg(change([A, B], [B]), at(0));
  for (const bytes of drain(machine, at(0))) machine.deliver(A, bytes, at(0));
  for (const bytes of drain(machine, at(0))) machine.deliver(A, bytes, at(0));
  expect(machine.tick(at(4999))).toEqual([]);
  machine.quorumView([1]);
  const [line] = machine.tick(at(5000));
  expect(line).toMatchObject({
    kind: "log",
    text: expect.stringContaining("2/200: quorum does not"),
  });
  expect(machine.status(at(5001)).missing).toEqual([{ ...B, silentMs: 5001 }]);
});

test("logs a silent member also while another one leaves and joins every three seconds", () => {
  const { machine } = machineOf(A);
  const C: Member = { nodeid: 3, pid: 300 };
  const changeMembers = (now: Instant, joins: boolean): void => {
    machine.confchg(joins ? change([A, B, C], [C]) : change([A, B]), now);
    for (const bytes of drain(machine, now)) machine.deliver(A, bytes, now);
    for (const bytes of drain(machine, now)) machine.deliver(A, bytes, now);
    const { epoch } = machine.status(now);
    const state = { type: Type.state, epoch, body: new Uint8Array([1]) };
    if (joins) machine.deliver(C, encodeControl({ protocol: 1, time: 0 }, state), now);
  };
  const lines: string[] = [];
  for (let second = 0; second < 16; second++) {
    const now = at(1000 * second);
    if (second % 3 === 0) changeMembers(now, second % 2 === 0);
    const effects = machine.tick(at(now.ms + 500));
    lines.push(...effects.flatMap((effect) => (effect.kind === "log" ? [effect.text] : [])));
  }
  expect(machine.status(at(16_000)).missing).toEqual([{ ...B, silentMs: 16_000 }]);
  const waits = "for the state of 2/200: until it arrives, notes wait";
  expect(lines).toEqual([`has waited 5 s ${waits}`, `has waited 15 s ${waits}`]);
});

test("the time of a silent member begins anew when it has answered between two looks", () => {
  const { machine } = machineOf(A);
  const begin = (now: Instant): void => {
    machine.confchg(change([A, B], [B]), now);
    for (const bytes of drain(machine, now)) machine.deliver(A, bytes, now);
    for (const bytes of drain(machine, now)) machine.deliver(A, bytes, now);
  };
  begin(at(0));
  for (let ms = 500; ms < 4000; ms += 1000) expect(machine.tick(at(ms))).toEqual([]);
  const { epoch } = machine.status(at(3900));
  const state = { type: Type.state, epoch, body: new Uint8Array([1]) };
  machine.deliver(B, encodeControl({ protocol: 1, time: 0 }, state), at(3900));
  expect(machine.mode).toBe("synced");
  begin(at(4000));
  for (let ms = 4500; ms < 9000; ms += 1000) expect(machine.tick(at(ms))).toEqual([]);
  expect(machine.status(at(9500)).missing).toEqual([{ ...B, silentMs: 5500 }]);
  expect(machine.tick(at(9500))).toHaveLength(1);
});

test("logs what waits for a silent member that is in the quorum", () => {
  const { machine } = machineOf(B);
  machine.confchg(change([A, B], [B]), at(0));
  machine.quorumView([1, 2]);
  const [line] = machine.tick(at(5000));
  const text = "has waited 5 s for the sync request of 1/100: until it arrives, notes wait";
  expect(line).toEqual({ kind: "log", level: "warn", text });
  expect(machine.tick(at(14_999))).toEqual([]);
  expect(machine.tick(at(15_000))).toHaveLength(1);
});
