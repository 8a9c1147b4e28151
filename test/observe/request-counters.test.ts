/** The counters around a handler: what goes through it unchanged, and what is counted. */
import { expect, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import type { Handler, Request } from "../../src/ipc/handler.ts";
import { RequestCounters, TIMED_ONE_IN } from "../../src/observe/request-counters.ts";
import { spanOf } from "../../src/wire/struct.ts";

const NAMES = new Map([[3, "three"]]);

function request(id: number, bytes: number): Request {
  const caller = { pid: 1, uid: 0, gid: 0, permissions: "read-write" } as const;
  const peer = {
    caller,
    number: 1,
    sendEvent: () => 0 as const,
    holdRequests() {},
    disconnect() {},
  };
  return { id, backToBackNs: 0, span: spanOf(Buffer.alloc(bytes)), caller, peer };
}

function handler(handle: Handler["handle"]): Handler {
  return { authenticate: () => "read-only", handle };
}

test("answers pass unchanged, late ones too", async () => {
  const body = Buffer.from("body");
  const counters = new RequestCounters(
    handler(({ id }) => (id === 3 ? body : id === 4 ? Promise.resolve(Errno.EIO) : Errno.ENOENT)),
    NAMES,
  );
  expect(counters.handle(request(3, 0))).toBe(body);
  expect(await counters.handle(request(4, 5))).toBe(Errno.EIO);
  expect(await counters.handle(request(4, 5))).toBe(Errno.EIO);
  expect(counters.handle(request(-1, 5))).toBe(Errno.ENOENT);
  expect(counters.malformed(request(1000, 5))).toBe(Errno.EINVAL);
  expect(counters.refusal).toBeUndefined();
  const [other, three] = counters.operations();
  expect(three).toMatchObject({ operation: "three", requests: 1 });
  expect(three?.replyBytes.sum).toBe(4);
  expect(other).toMatchObject({ operation: "other", requests: 4 });
  expect(other?.errors).toEqual(
    new Map([
      [2, 1],
      [5, 2],
      [22, 1],
    ]),
  );
});

test("sizes land in the slot of the next power of two", () => {
  const counters = new RequestCounters(
    handler(() => Errno.EIO),
    NAMES,
  );
  for (const size of [0, 1, 2, 3, 4, 5, 1024, 1025]) void counters.handle(request(3, size));
  const counts = counters.operations()[0]?.requestBytes.counts ?? [];
  expect(counts.slice(0, 12)).toEqual([2, 1, 2, 1, 0, 0, 0, 0, 0, 0, 1, 1]);
});

test("the first of each operation is timed, and then one in so many", () => {
  const counters = new RequestCounters(
    handler(() => Errno.EIO),
    NAMES,
  );
  const timed = () =>
    counters.operations()[0]?.durations.counts.reduce((sum, count) => sum + count, 0);
  for (let round = 0; round < TIMED_ONE_IN; round++) void counters.handle(request(3, 0));
  expect(timed()).toBe(1);
  void counters.handle(request(3, 0));
  expect(timed()).toBe(2);
});
