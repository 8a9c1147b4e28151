/**
 * A server with a slow handler: request 2 takes 100 us. The answer to request 1 is the number of
 * requests 2 since the last request 1.
 */
import { serveHandler } from "./serving.ts";

const SLOW = 2;
const SLOW_NS = 100_000;

let served = 0;

serveHandler({
  authenticate: () => "read-write",
  handle({ id }) {
    const body = Buffer.alloc(4);
    if (id === SLOW) {
      const until = Bun.nanoseconds() + SLOW_NS;
      while (Bun.nanoseconds() < until);
      served++;
    } else {
      body.writeUInt32LE(served);
      served = 0;
    }
    return body;
  },
});
