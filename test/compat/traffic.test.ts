/**
 * Generated traffic in every combination: libqb through bun:ffi, a C program on libqb and our own
 * client, each against a C server on libqb and against ours.
 */
import { afterAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { compatClient } from "../../src/platform/compat-client.ts";
import { checksum, patternBytes, wordOf, type Body } from "../../src/tools/compat/body.ts";
import { FLAVORS } from "../../src/tools/compat/case.ts";
import { ClientPool, type ClientProcess } from "../../src/tools/compat/client-process.ts";
import { native } from "../support/native.ts";
import { startService } from "../support/service.ts";
import { SOURCES } from "./run-compat.ts";

const cClient = compatClient();
afterAll(() => cClient[Symbol.dispose]());

const SERVERS = {
  "C server": (name: string) => [native("qb-echo-server"), name],
  "our server": (name: string) => [...SOURCES, "echo", "--socket", name],
};

/** Bursts of requests, each burst sent whole before its answers are read. */
const bursts = fc.array(
  fc.array(
    fc.record({
      id: fc.integer({ min: 0, max: 0x7fffffff }),
      body: fc.oneof(
        fc.uint8Array({ maxLength: 200 }),
        fc.record({ pattern: fc.integer({ min: 0, max: 9000 }) }),
      ),
    }),
    { minLength: 1, maxLength: 5 },
  ),
  { minLength: 1, maxLength: 8 },
);

type Burst = readonly { readonly id: number; readonly body: Body }[];

async function exchange(client: ClientProcess, burst: Burst): Promise<void> {
  for (const { id, body } of burst) {
    const { res } = await client.ask(`send ${id} ${wordOf(body)} 0`, 10_000);
    expect(res).toBeGreaterThanOrEqual(0);
  }
  for (const { id, body } of burst) {
    const answer = await client.ask("receive 5000", 10_000);
    const bytes = body instanceof Uint8Array ? body : patternOf(body);
    const size = 24 + bytes.byteLength;
    expect(answer).toMatchObject({ res: size, size, id, error: 0, sum: checksum(bytes) });
  }
}

function patternOf(body: Body): Uint8Array {
  if (typeof body === "string" || body instanceof Uint8Array) throw new Error("a pattern");
  return patternBytes(body.pattern);
}

describe("generated traffic", () => {
  for (const [server, command] of Object.entries(SERVERS)) {
    for (const flavor of FLAVORS) {
      test(`${flavor} client, ${server}: bursts of requests are answered in order`, async () => {
        await using service = await startService(command);
        await using pool = new ClientPool(cClient.path);
        const client = await pool.take(flavor, "self");
        expect(await client.ask(`connect ${service.name} 65536`, 10_000)).toEqual({ res: 0 });
        await fc.assert(
          fc.asyncProperty(bursts, async (all) => {
            for (const burst of all) await exchange(client, burst);
          }),
          { numRuns: 100 },
        );
        await pool.giveBack(flavor, client);
      }, 60_000);
    }
  }
});
