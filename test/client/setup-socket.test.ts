/** The setup socket of a client: owed notify bytes are sent; a closed descriptor is not used. */
import { expect, test } from "bun:test";
import type { Socket } from "bun";
import { SetupSocket } from "../../src/client/setup-socket.ts";
import { closeDescriptor } from "../../src/platform/files.ts";
import { connectTo, listenOn, receiveBytes } from "../../src/platform/socket.ts";
import { eventually } from "../support/eventually.ts";
import { uniqueName } from "../support/service.ts";

test("after the hang-up, a file that reuses the descriptor's number is left alone", async () => {
  const name = uniqueName();
  const accepted: Socket[] = [];
  const fd = listenOn(name, 16);
  const socket = {
    open: (one: Socket) => {
      accepted.push(one);
      if (accepted.length > 1) one.write("mine");
    },
    data: () => {},
  };
  const server = Bun.listen({ fd, socket } as unknown as Parameters<typeof Bun.listen>[0]);
  const first = connectTo(name);
  const link = new SetupSocket(first);
  let end: string | undefined;
  link.watch(
    () => {},
    ({ kind }) => {
      end = kind;
    },
  );
  await eventually("it is accepted", () => accepted[0]);
  accepted[0]?.terminate();
  await eventually("it hears of the end", () => end);
  expect(end).toBe("disconnected");
  const others: number[] = [];
  while (others.at(-1) !== first && others.length < 16) others.push(connectTo(name));
  expect(others.at(-1)).toBe(first);
  await eventually("all are accepted", () => accepted.length === 1 + others.length);
  link.unwatch();
  expect(link.checkEnd()?.kind).toBe("disconnected");
  expect(link.notify(1)?.kind).toBe("disconnected");
  link.close();
  const bytes = Buffer.alloc(8);
  await eventually("the other has all that was for it", () => receiveBytes(first, bytes) === 4);
  for (const other of others) closeDescriptor(other);
  server.stop(true);
});

/** A server that accepts on `name`, reads nothing until it is resumed, and counts what it reads. */
function slowReader(name: string) {
  const seen = { bytes: 0, accepted: [] as Socket[] };
  const socket = {
    open: (one: Socket) => {
      one.pause();
      seen.accepted.push(one);
    },
    data: (_one: Socket, bytes: Buffer) => {
      seen.bytes += bytes.byteLength;
    },
  };
  const options = { fd: listenOn(name, 16), socket };
  const server = Bun.listen(options as unknown as Parameters<typeof Bun.listen>[0]);
  return { seen, server };
}

for (const watched of [false, true]) {
  const mode = watched ? "a watched" : "an unwatched";
  test(`bytes owed by ${mode} socket are sent without a further call`, async () => {
    const name = uniqueName();
    const { seen, server } = slowReader(name);
    const setup = new SetupSocket(connectTo(name));
    if (watched) {
      setup.watch(
        () => {},
        () => {},
      );
    }
    await eventually("it is accepted", () => seen.accepted[0]);
    const count = 5000;
    for (let i = 0; i < count; i++) expect(setup.notify(1)).toBeUndefined();
    expect(setup.owed).toBeGreaterThan(0);
    seen.accepted[0]?.resume();
    await eventually("every byte has come", () => seen.bytes === count);
    expect(setup.owed).toBe(0);
    setup.close();
    server.stop(true);
  });
}

test("closed while bytes are owed, it sends none to a file that reuses its number", async () => {
  const name = uniqueName();
  const { seen, server } = slowReader(name);
  const first = connectTo(name);
  const setup = new SetupSocket(first);
  await eventually("it is accepted", () => seen.accepted[0]);
  for (let i = 0; i < 1000; i++) setup.notify(1);
  expect(setup.owed).toBeGreaterThan(0);
  setup.close();
  const second = connectTo(name);
  expect(second).toBe(first);
  await eventually("the second is accepted", () => seen.accepted.length === 2);
  seen.accepted[1]?.resume();
  // Several intervals of the timer that would send the bytes.
  for (let turn = 0; turn < 10; turn++) await Bun.sleep(1);
  expect(seen.bytes).toBe(0);
  closeDescriptor(second);
  server.stop(true);
});
