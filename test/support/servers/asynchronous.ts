/**
 * A server that answers late: request 1 after as many ms as its first byte says, request 2 at
 * once, request 3 never by itself but when a request 4 of another connection comes; 5 rejects.
 * The answer is the body.
 */
import { serveHandler } from "./serving.ts";

const waiting: (() => void)[] = [];

serveHandler({
  authenticate: () => "read-write",
  handle({ id, span }) {
    const body = Buffer.from(span.bytes.subarray(span.at, span.at + span.size));
    switch (id) {
      case 1:
        return Bun.sleep(body[0] ?? 0).then(() => body);
      case 3:
        return new Promise((resolve) => {
          waiting.push(() => resolve(body));
        });
      case 4:
        for (const answer of waiting.splice(0)) answer();
        return body;
      case 5:
        return Promise.reject(new Error("asked to fail"));
      default:
        return body;
    }
  },
});
