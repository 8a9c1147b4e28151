/**
 * Watching any descriptor in Bun's event loop: the internals of Bun on which loop-watch.ts relies.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { LoopWatch } from "../../src/platform/loop-watch.ts";
import { EpollSet, Ready } from "../../src/platform/epoll.ts";
import {
  connectTo,
  listenOn,
  acceptOn,
  receiveBytes,
  sendBytes,
} from "../../src/platform/socket.ts";
import { closeDescriptor } from "../../src/platform/files.ts";
import { readdirSync } from "node:fs";
import { eventually } from "../support/eventually.ts";
import { uniqueName } from "../support/service.ts";

setDefaultTimeout(60_000);

/** Two ends of a connected socket. */
function pair(): { readonly near: number; readonly far: number; close(): void } {
  const name = uniqueName("pair");
  const listener = listenOn(name, 1);
  const far = connectTo(name);
  const near = acceptOn(listener);
  expect(Math.min(listener, far, near)).toBeGreaterThanOrEqual(0);
  closeDescriptor(listener);
  const close = () => {
    closeDescriptor(near);
    closeDescriptor(far);
  };
  return { near, far, close };
}

/** More turns of the event loop than a watch needs to begin. */
async function aFewTurns(): Promise<void> {
  for (let turn = 0; turn < 100; turn++) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** An epoll set with `fd` as its member. */
function watching(fd: number): EpollSet {
  const set = EpollSet.make();
  if (typeof set === "number") throw new Error(`errno ${-set}`);
  expect(set.add(fd, 7)).toBe(0);
  return set;
}

test("the callback runs while the descriptor is readable, and not after disposal", async () => {
  const before = readdirSync("/proc/self/fd").length;
  const { near, far, close } = pair();
  let calls = 0;
  const bytes = Buffer.alloc(16);
  using set = watching(near);
  const watch = new LoopWatch(set.fd, () => {
    calls++;
    receiveBytes(near, bytes);
  });
  await eventually("its place in the loop", () => watch.isInLoop);
  for (let round = 1; round <= 3; round++) {
    expect(sendBytes(far, Buffer.from("x"))).toBe(1);
    await eventually(`call ${round}`, () => calls >= round);
  }
  watch[Symbol.dispose]();
  const after = calls;
  sendBytes(far, Buffer.from("x"));
  await aFewTurns();
  expect(calls).toBe(after);
  close();
  set[Symbol.dispose]();
  expect(readdirSync("/proc/self/fd").length).toBe(before);
});

test("a watch that is disposed in the same turn never calls back", async () => {
  const { near, far, close } = pair();
  let calls = 0;
  using set = watching(near);
  const watch = new LoopWatch(set.fd, () => calls++);
  watch[Symbol.dispose]();
  sendBytes(far, Buffer.from("x"));
  await aFewTurns();
  expect(calls).toBe(0);
  close();
});

test("an epoll set reports what is ready, drains notify bytes and sees the end", () => {
  const { near, far, close } = pair();
  using watched = watching(near);
  expect(watched.turn()).toBe(0);
  sendBytes(far, Buffer.alloc(300));
  expect(watched.turn()).toBe(1);
  expect([watched.token(0), watched.readiness(0)]).toEqual([7, Ready.READ]);
  expect(watched.change(near, 8, Ready.READ | Ready.WRITE, true)).toBe(0);
  expect(watched.turn()).toBe(1);
  expect([watched.token(0), watched.readiness(0)]).toEqual([8, Ready.READ | Ready.WRITE]);
  watched.change(near, 8, Ready.READ, true);
  expect(watched.turn()).toBe(1);
  // The first turn dropped 256 bytes, the second 44.
  expect(watched.turn()).toBe(0);
  closeDescriptor(far);
  expect(watched.turn()).toBe(1);
  expect(watched.readiness(0)).toBe(Ready.ENDED);
  watched.remove(near);
  expect(watched.turn()).toBe(0);
  close();
});
