/**
 * Our echo server with a handler that answers late, or is slow: the options of
 * test/native/qb-echo-server.c, which it is compared with, on the library.
 *
 *   bun bench/late-server.ts SERVICE [--late | --late-ms MS] [--burn-us US]
 */
import { parseArgs } from "node:util";
import { serveHandler } from "../test/support/servers/serving.ts";

const SLOW = 2;

const { values } = parseArgs({
  args: process.argv.slice(3),
  options: {
    late: { type: "boolean", default: false },
    "late-ms": { type: "string", default: "0" },
    "burn-us": { type: "string", default: "0" },
  },
});
const lateMs = Number(values["late-ms"]);
const isLate = values.late || lateMs > 0;
const burnNs = Number(values["burn-us"]) * 1000;

function burn(): void {
  const until = Bun.nanoseconds() + burnNs;
  while (Bun.nanoseconds() < until);
}

/** The promise is settled, or will be; either way its answer is sent when the handler is done. */
function afterwards(body: Uint8Array): Promise<Uint8Array> {
  return lateMs === 0 ? Promise.resolve(body) : Bun.sleep(lateMs).then(() => body);
}

serveHandler({
  authenticate: () => "read-write",
  handle({ id, span }) {
    // Private memory, which is the request's own until its answer is sent.
    const body = span.bytes.subarray(span.at, span.at + span.size);
    if (id === SLOW) burn();
    return isLate ? afterwards(body) : body;
  },
});
