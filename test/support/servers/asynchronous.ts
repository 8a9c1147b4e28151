/**
 * A server that answers late, with the body of the request: request 1 after as many ms as the value
 * of its first byte, request 2 immediately, request 3 when the next request 4 arrives; the promise
 * for request 5 rejects. Two replies have work after them: 6 waits at most 10 s for the file named
 * by the body, and the answer to request 7 is "done" if it has appeared; 8 throws.
 * Request 9 is answered as request 3, with work after the reply that request 7 shows.
 */
import { existsSync } from "node:fs";
import type { Reply } from "../../../src/index.ts";
import { serveHandler } from "./serving.ts";

const waiting: (() => void)[] = [];
let found = "not done";

/** Blocks the event loop, as work after a reply does. */
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
      case 9:
        found = "not done";
        return new Promise<Reply>((resolve) => {
          waiting.push(() => resolve({ body, afterReply: () => (found = "done") }));
        });
      default:
        return body;
    }
  },
});
