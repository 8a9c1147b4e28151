/**
 * An echo server on our library with a handler that answers late, or is slow. Its options are those
 * of test/native/qb-echo-server.c, with which it is compared.
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

/** A promise that is settled, or will be after `lateMs`. */
function lateAnswer(body: Uint8Array): Promise<Uint8Array> {
  return lateMs === 0 ? Promise.resolve(body) : Bun.sleep(lateMs).then(() => body);
}

serveHandler({
  authenticate: () => "read-write",
  handle({ id, span }) {
    // Private memory, which belongs to the request until its answer is sent.
    const body = span.bytes.subarray(span.at, span.at + span.size);
    if (id === SLOW) burn();
    return isLate ? lateAnswer(body) : body;
  },
});
