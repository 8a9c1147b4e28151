// Messages that corosync does not take for a long time: which are given up, and which wait.
import { expect, test } from "bun:test";
import { Outbox } from "../../src/pmxcfs/replication/outbox.ts";
import { NO_EPOCH } from "../../src/pmxcfs/replication/message.ts";

const state = { protocol: 0, seconds: 5, epoch: NO_EPOCH, synced: true };
const TRIES = 100;

/** Offers the first message until corosync has refused it for 10 s; what was given up. */
function refused(outbox: Outbox): unknown {
  let failed: unknown;
  for (let tries = 0; tries < TRIES; tries++) {
    expect(outbox.next(state)).toBeDefined();
    failed ??= outbox.sent("again").failed;
  }
  return failed;
}

test("a status value or a log entry that nobody repeats is sent when corosync takes it", () => {
  const outbox = new Outbox();
  const value = { subtype: 1, body: Buffer.from("set once"), key: "k" };
  const entry = { subtype: 3, body: Buffer.from("logged") };
  for (const item of [value, entry]) outbox.addNormal(item);
  expect(refused(outbox)).toBeUndefined();
  expect(refused(outbox)).toBeUndefined();
  for (const { body } of [value, entry]) {
    const { bytes } = outbox.next(state) ?? { bytes: Buffer.alloc(0) };
    expect(Buffer.from(bytes).toString("latin1")).toEndWith(body.toString());
    outbox.sent("sent");
  }
  expect(outbox.next(state)).toBeUndefined();
});

test("a change whose caller waits is given up after 10 s, as in C", () => {
  const outbox = new Outbox();
  const change = { subtype: 1, body: Buffer.from("x"), ticket: 1 };
  outbox.addNormal(change);
  expect(refused(outbox)).toMatchObject({ ticket: 1 });
  expect(outbox.next(state)).toBeUndefined();
});
