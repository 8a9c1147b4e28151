/** Rules 6 and 7 for single classes: bounds on resources, and fairness of turns. */
import { expect, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { IpcLimits, PollLimits } from "../../src/base/limits.ts";
import { nextTurn } from "../../src/base/turns.ts";
import type { Reply, Request } from "../../src/ipc/handler.ts";
import { asker, connectionOver, hostOf, makeRings } from "../support/connection.ts";
import { eventually } from "../support/eventually.ts";
import { RequestBuffers } from "../../src/ipc/connection/request-buffers.ts";
import { Admission, PendingHandshakes } from "../../src/ipc/setup/admission.ts";
import { RunQueue, type Runnable } from "../../src/ipc/scheduling/run-queue.ts";
import { Scheduler } from "../../src/ipc/scheduling/scheduler.ts";
import { TimeSlicedQueue } from "../../src/ipc/scheduling/time-sliced-queue.ts";

interface Peer {
  readonly peer: { readonly pid: number; readonly uid: number; readonly gid: number };
  readonly name: string;
}

function peerOf(pid: number, name: string, uid = 33): Peer {
  return { peer: { pid, uid, gid: uid }, name };
}

/** Keeps the thread busy. */
function work(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

test("work that exceeds its turn goes on in the next one, process by process", async () => {
  const done: string[] = [];
  const queue = new TimeSlicedQueue<Peer>(1, ({ name }) => {
    done.push(name);
    work(1.5);
  });
  for (const name of ["a1", "a2", "a3"]) queue.add(peerOf(1, name));
  queue.add(peerOf(2, "b1"));
  expect(done).toEqual(["a1"]);
  await nextTurn();
  expect(done.length).toBe(2);
  while (queue.size > 0) await nextTurn();
  expect(done).toEqual(["a1", "a2", "b1", "a3"]);
});

test("the many processes of one user do not delay the first job of another user", async () => {
  const done: string[] = [];
  const queue = new TimeSlicedQueue<Peer>(1, ({ name }) => {
    done.push(name);
    work(1.5);
  });
  for (const pid of [1, 2, 3, 4]) queue.add(peerOf(pid, `www-data ${pid}`));
  queue.add(peerOf(5, "root", 0));
  while (queue.size > 0) await nextTurn();
  expect(done).toEqual(["www-data 1", "www-data 2", "root", "www-data 3", "www-data 4"]);
});

test("removed jobs are not done, and the others are", async () => {
  const done: string[] = [];
  const queue = new TimeSlicedQueue<Peer>(1, ({ name }) => {
    done.push(name);
    work(2);
  });
  const [first, second, third] = [peerOf(1, "first"), peerOf(1, "second"), peerOf(1, "third")];
  for (const job of [first, second, third]) queue.add(job);
  expect(done).toEqual(["first"]);
  queue.remove(second);
  while (queue.size > 0) await nextTurn();
  expect(done).toEqual(["first", "third"]);
});

test("of too many handshakes, the oldest one of the process with most is dropped", () => {
  const dropped: string[] = [];
  const pending = new PendingHandshakes<Peer & { drop(): void }>(3);
  const add = (pid: number, name: string) => {
    const handshake = {
      ...peerOf(pid, name),
      drop() {
        dropped.push(name);
        pending.delete(handshake);
      },
    };
    pending.add(handshake);
  };
  add(1, "quiet");
  for (const name of ["one", "two", "three", "four"]) add(2, name);
  expect(dropped).toEqual(["one", "two"]);
  expect(pending.size).toBe(3);
});

test("many connections with requests left share several turns, in order", async () => {
  const served: number[] = [];
  const queue = new RunQueue(IpcLimits, ({ number }: { number: number } & Runnable) => {
    served.push(number);
    // It has more requests.
    const [first] = connections;
    if (served.length === 1 && first !== undefined) queue.add(first);
    work(1.5);
  });
  const connections = Array.from({ length: 6 }, (_, number) => ({
    number,
    caller: { uid: 33, pid: 1 },
    stalledSince: undefined,
    retry: () => true,
    end: () => {},
  }));
  for (const connection of connections) queue.add(connection);
  await nextTurn();
  expect(served.length).toBeWithin(1, 3);
  while (served.length < 7) await nextTurn();
  expect(served).toEqual([0, 1, 2, 3, 4, 5, 0]);
});

test("the many connections of one user do not delay those of another user", async () => {
  const served: number[] = [];
  const queue = new RunQueue(IpcLimits, ({ number }: { number: number } & Runnable) => {
    served.push(number);
  });
  // 3 is root's.
  for (const [number, uid] of [33, 33, 33, 0].entries()) {
    const caller = { uid, pid: number };
    queue.add({ number, caller, stalledSince: undefined, retry: () => true, end: () => {} });
  }
  await nextTurn();
  expect(served).toEqual([0, 3, 1, 2]);
});

test("clients that all send at once share several turns, in order", async () => {
  using kept = new DisposableStack();
  const served: number[] = [];
  const handle = ({ peer }: Request): Errno => {
    served.push(peer.number);
    work(1.5);
    return Errno.EIO;
  };
  const host = hostOf(handle);
  const connections = Array.from({ length: 6 }, (_, number) => {
    const rings = makeRings(`together-${number}`, kept);
    asker(rings)();
    return connectionOver(rings, host, number);
  });
  const loop = { isLoopReady: false, turnStartNs: Bun.nanoseconds() };
  const unpolled = { ...PollLimits, idleUs: 0 };
  const scheduler = new Scheduler({ ...IpcLimits, poll: unpolled }, loop);
  for (const connection of connections) scheduler.notified(connection);
  expect(served.length).toBeLessThan(3);
  while (served.length < 6) await nextTurn();
  expect(served).toEqual([0, 1, 2, 3, 4, 5]);
  for (const connection of connections) connection.disconnect("done");
});

test("many replies that wait for room are retried in several turns, in order", async () => {
  const turns: number[][] = [];
  let turn: number[] | undefined;
  const retry = (number: number): boolean => {
    if (turn === undefined) {
      turn = [];
      turns.push(turn);
      // Runs after all retries of this turn.
      queueMicrotask(() => {
        turn = undefined;
      });
    }
    turn.push(number);
    work(1.5);
    return false;
  };
  const queue = new RunQueue<Runnable>({ replyRetryMs: 1, replyDeadlineMs: 60_000 }, () => {});
  const connections = Array.from({ length: 6 }, (_, number) => ({
    caller: { uid: 33, pid: number },
    stalledSince: performance.now(),
    retry: () => retry(number),
    end: () => {},
  }));
  for (const connection of connections) queue.addStalled(connection);
  await eventually("all were retried twice", () => turns.flat().length >= 12);
  for (const connection of connections) queue.remove(connection);
  for (const numbers of turns) expect(numbers.length).toBeLessThan(3);
  expect(turns.flat().slice(0, 12)).toEqual([0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5]);
});

/** No bounds, except those that a test sets. */
const UNBOUNDED = {
  connections: 1000,
  connectionsPerUid: 0,
  rootReserve: 0,
  shmBytesPerUid: Infinity,
  shmRootReserveBytes: 0,
};

test("a full service is logged once, and again only after a tenth of its connections left", () => {
  const admission = new Admission({ ...UNBOUNDED, connections: 10, rootReserve: 1 });
  for (let i = 0; i < 10; i++) admission.add(33, 1);
  expect(admission.excessOf(33, 1, 100)).toBe("connections");
  expect(admission.excessOf(0, 1, 100)).toBeUndefined();
  expect(admission.shouldLogFull()).toBe(true);
  admission.remove(33, 1);
  expect(admission.excessOf(33, 1, 100)).toBeUndefined();
  admission.add(33, 1);
  expect(admission.shouldLogFull()).toBe(false);
  admission.remove(33, 1);
  admission.remove(33, 1);
  expect(admission.shouldLogFull()).toBe(true);
});

test("one uid has a bound on its connections, root only the total bound", () => {
  const admission = new Admission({ ...UNBOUNDED, connections: 10, connectionsPerUid: 2 });
  for (const uid of [33, 33, 0, 0, 0]) admission.add(uid, 1);
  expect(admission.excessOf(33, 1, 100)).toBe("connections of its uid");
  expect(admission.excessOf(34, 1, 100)).toBeUndefined();
  expect(admission.excessOf(0, 1, 100)).toBeUndefined();
});

test("one uid has a bound on its bytes of /dev/shm, and leaves some to root", () => {
  const limits = { ...UNBOUNDED, shmBytesPerUid: 50, shmRootReserveBytes: 10 };
  const admission = new Admission(limits);
  admission.add(33, 30);
  expect(admission.excessOf(33, 20, 70)).toBeUndefined();
  expect(admission.excessOf(33, 21, 70)).toBe("bytes of its uid");
  expect(admission.excessOf(34, 21, 70)).toBeUndefined();
  expect(admission.excessOf(34, 21, 30)).toBe("free bytes");
  expect(admission.excessOf(0, 21, 30)).toBeUndefined();
  expect(admission.excessOf(0, 31, 30)).toBe("free bytes");
  admission.remove(33, 30);
  expect(admission.excessOf(33, 50, 70)).toBeUndefined();
});

test("a buffer is used again only if 4 bytes are readable after the largest message in it", () => {
  const [small, large] = [12_328, 12_336];
  const buffers = new RequestBuffers(small);
  const giveBack = buffers.lend(buffers.current);
  buffers.grow(large);
  giveBack();
  buffers.lend(buffers.current);
  expect(buffers.current.scratch.bytes.length).toBeGreaterThanOrEqual(large + 4);
});

test("the queue length in the statistics counts complete replies after a pending one", async () => {
  using kept = new DisposableStack();
  const rings = makeRings("length", kept);
  const ask = asker(rings);
  let answer: ((reply: Reply) => void) | undefined;
  const host = hostOf(() => {
    if (answer !== undefined) return Errno.EIO;
    return new Promise((resolve) => {
      answer = resolve;
    });
  });
  const connection = connectionOver(rings, host);
  ask();
  ask();
  connection.serve(8);
  expect(connection.stats.eventQueueLength).toBe(2);
  answer?.(Errno.EIO);
  await nextTurn();
  expect(connection.stats).toMatchObject({ eventQueueLength: 0, responses: 2 });
  connection.disconnect("done");
});

test("a request that arrives while its client is served waits for the next turn", () => {
  using kept = new DisposableStack();
  const rings = makeRings("turns", kept);
  const ask = asker(rings);
  let asked = 0;
  const handle = (): Errno => {
    asked++;
    ask();
    return Errno.EIO;
  };
  const again: number[] = [];
  const host = hostOf(handle, { onMore: ({ number }) => void again.push(number) });
  const connection = connectionOver(rings, host, 7);
  ask();
  ask();
  expect(connection.serve(8)).toBe(2);
  expect(connection.serve(8)).toBe(2);
  expect(again).toEqual([]);
  expect(connection.serve(1)).toBe(1);
  expect(again).toEqual([7]);
  expect(asked).toBe(5);
  connection.disconnect("done");
});
