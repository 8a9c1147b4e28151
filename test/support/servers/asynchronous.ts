/**
 * A server that answers late: request 1 after as many ms as its first byte says, request 2 at
 * once, request 3 never by itself but when a request 4 of another connection comes; 5 rejects.
 * The answer is the body. After the reply to request 6 the server waits, up to 10 s, until the file
 * named by the body exists; the answer to request 7 is "done" if it came to exist. After the reply
 * to request 8 it throws.
 */
import { existsSync } from "node:fs";
import { serveHandler } from "./serving.ts";

const waiting: (() => void)[] = [];
let found = "not done";

/** Holds the event loop, as work after a reply does. */
function waitForFile(path: string): void {
  const deadline = performance.now() + 10_000;
  while (!existsSync(path) && performance.now() < deadline) Bun.sleepSync(1);
  found = existsSync(path) ? "done" : "timed out";
}

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
      case 6:
        found = "not done";
        return { body, afterReply: () => waitForFile(body.toString("latin1")) };
      case 7:
        return Buffer.from(found);
      case 8:
        return {
          body,
          afterReply() {
            throw new Error("asked to fail after the reply");
          },
        };
      default:
        return body;
    }
  },
});
