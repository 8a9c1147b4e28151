/**
 * A server that overwrites its rings at random: every call of our client returns a value. A call
 * that does not would hang its test.
 */
import { expect, test } from "bun:test";
import { ftruncateSync } from "node:fs";
import fc from "fast-check";
import { QbFailure } from "../../src/client/failure.ts";
import { QbClient } from "../../src/client/qb-client.ts";
import { RING_NAMES } from "../../src/shm/ring-set.ts";
import { closeDescriptor, openFile } from "../../src/platform/files.ts";
import { uniqueName } from "../support/service.ts";
import { ringDirectories } from "../support/shm.ts";
import { FakeServer } from "./fake-server.ts";

const TIMEOUT_MS = 40;
/** The used words of a ring's header: both indices, sizes, semaphore, flow control. */
const HEADER_WORDS = [0, 1, 2, 2051, 2052, 2053, 2060];
/** Values that expose off-by-one and sign errors. */
const ODD = [0, 1, 7, 16, 24, 0x7fffffff, 0x80000000, 0xffffffff, 0xa1a1a1a1, 0xd0d0d0d0];

const value = fc.oneof(fc.constantFrom(...ODD), fc.nat(0xffffffff));
const scribble = fc.record({
  ring: fc.constantFrom(...RING_NAMES),
  // The first chunks lie at the start of the data.
  where: fc.oneof(
    fc.record({ header: fc.constantFrom(...HEADER_WORDS) }),
    fc.record({ data: fc.nat(40) }),
  ),
  value,
});

async function connected(name: string): Promise<QbClient> {
  const client = await QbClient.connect(name, { maxMessageBytes: 12_328, timeoutMs: 5000 });
  if (client instanceof QbFailure) throw new Error(String(client));
  return client;
}

test("after arbitrary writes, calls end with an answer or a failure", async () => {
  const outcomes = new Set<string>();
  await fc.assert(
    fc.asyncProperty(fc.array(scribble, { minLength: 1, maxLength: 6 }), async (scribbles) => {
      using server = new FakeServer(uniqueName("hostile"), {
        instead: (connection) => {
          connection.sendEvent(1, Buffer.from("event"));
          connection.respond(1, Buffer.from("answer"));
          for (const { ring, where, value: word } of scribbles) {
            const { words, headerWord, dataWord } = connection.rings.set.rings[ring];
            words["header" in where ? headerWord + where.header : dataWord + where.data] = word;
          }
        },
      });
      using client = await connected(server.name);
      const options = { timeoutMs: TIMEOUT_MS };
      for (const call of [
        () => client.sendRecv(1, Buffer.from("one"), options),
        () => client.receiveEvent(options),
        () => client.receive(options),
        () => Promise.resolve(client.send(1, Buffer.from("two"))),
      ]) {
        const outcome = await call();
        outcomes.add(outcome instanceof QbFailure ? outcome.kind : "answer");
      }
    }),
    { numRuns: 150 },
  );
  expect([...outcomes]).toEqual(expect.arrayContaining(["answer", "garbage", "timeout"]));
}, 60_000);

test("after all six files were truncated, a send fails and does not crash", async () => {
  using server = new FakeServer(uniqueName("hostile"));
  using client = await connected(server.name);
  const [connection] = server.connections;
  for (const ring of RING_NAMES) {
    for (const part of ["header", "data"]) {
      const fd = openFile(`${connection?.rings.prefix(ring)}-${part}`);
      ftruncateSync(fd, 0);
      closeDescriptor(fd);
    }
  }
  const failure = client.send(1, Buffer.from("x"));
  expect(failure?.kind).toBe("vanished");
  const again = await client.sendRecv(1);
  expect(again instanceof QbFailure && again.kind).toBe("vanished");
});

test("nothing is left in /dev/shm", () => {
  expect(ringDirectories(process.pid)).toEqual([]);
});
