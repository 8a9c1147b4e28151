/** The setup socket of a client, once the event loop has it: what Bun has closed is not ours. */
import { expect, test } from "bun:test";
import type { Socket } from "bun";
import { Link } from "../../src/client/link.ts";
import { closeDescriptor } from "../../src/platform/files.ts";
import { connectTo, listenOn, receiveBytes } from "../../src/platform/socket.ts";
import { eventually } from "../support/eventually.ts";
import { uniqueName } from "../support/service.ts";

test("after the hang-up its descriptor's number may be another's, who is left alone", async () => {
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
  const link = new Link(first);
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
  expect(link.end()?.kind).toBe("disconnected");
  expect(link.notify(1)?.kind).toBe("disconnected");
  link.close();
  const bytes = Buffer.alloc(8);
  await eventually("the other has all that was for it", () => receiveBytes(first, bytes) === 4);
  for (const other of others) closeDescriptor(other);
  server.stop(true);
});
