/** This node's address, from a name service that is slow or starts late. */
import { expect, test } from "bun:test";
import { OwnAddress } from "../../src/pmxcfs/replication/services/own-address.ts";
import { eventually } from "../support/eventually.ts";

/** A name service whose answers the test gives, in the order of the questions. */
function nameService() {
  const questions: ((address: string | undefined) => void)[] = [];
  const counts = { answered: 0 };
  const find = async (): Promise<string | undefined> => {
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    questions.push(resolve);
    const answer = await promise;
    counts.answered++;
    return answer;
  };
  return { questions, counts, find };
}

function watched(waitMs: number) {
  const { questions, counts, find } = nameService();
  const announced: (string | undefined)[] = [];
  const address: OwnAddress = new OwnAddress({
    find,
    changed: () => announced.push(address.current),
    waitMs,
    againMs: 1,
  });
  return { questions, counts, announced, address };
}

test("an address that is found in time is there after the call, and is not announced", async () => {
  const { questions, announced, address } = watched(60_000);
  const refreshed = address.refresh();
  questions[0]?.("192.0.2.1");
  await refreshed;
  expect(address.current).toBe("192.0.2.1");
  expect(announced).toEqual([]);
});

test("a slow lookup holds up nothing; its address is announced when it differs", async () => {
  const { questions, announced, address } = watched(1);
  await address.refresh();
  expect(address.current).toBeUndefined();
  questions[0]?.("192.0.2.1");
  await eventually("announced", () => announced.length === 1);
  await address.refresh();
  questions[1]?.("192.0.2.1");
  await address.refresh();
  questions[2]?.("192.0.2.2");
  await eventually("announced again", () => announced.length === 2);
  expect(announced).toEqual(["192.0.2.1", "192.0.2.2"]);
});

test("a name that is not known yet is asked for again, and the last address stays", async () => {
  const { questions, announced, address } = watched(60_000);
  const first = address.refresh();
  questions[0]?.("192.0.2.1");
  await first;
  const second = address.refresh();
  questions[1]?.(undefined);
  await second;
  expect(address.current).toBe("192.0.2.1");
  await eventually("asked again", () => questions.length === 3);
  questions[2]?.("192.0.2.2");
  await eventually("announced", () => announced.length === 1);
  expect(announced).toEqual(["192.0.2.2"]);
});

test("what an earlier call started, or one before the end, changes nothing", async () => {
  const { questions, counts, announced, address } = watched(1);
  await address.refresh();
  await address.refresh();
  questions[1]?.("192.0.2.2");
  await eventually("announced", () => announced.length === 1);
  questions[0]?.("192.0.2.1");
  await address.refresh();
  address[Symbol.dispose]();
  questions[2]?.("192.0.2.3");
  await eventually("all are answered", () => counts.answered === 3);
  expect(address.current).toBe("192.0.2.2");
  expect(announced).toEqual(["192.0.2.2"]);
});
