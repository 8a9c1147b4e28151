/**
 * A server whose handler fails, in a different way for each request id; other requests are echoed.
 * Its hooks throw, and so does authenticate for uid 65534.
 */
import type { Reply } from "../../../src/index.ts";
import { serveHandler } from "./serving.ts";

const TWO_MIB = new Uint8Array(2 * 1024 * 1024);

/** A promise that is settled three times: only the first answer must be sent. */
function twice(first: Uint8Array, second: Uint8Array): Promise<Reply> {
  return new Promise((resolve, reject) => {
    resolve(first);
    // Deliberate: this is the fault.
    // oxlint-disable-next-line promise/no-multiple-resolved
    resolve(second);
    // oxlint-disable-next-line promise/no-multiple-resolved
    reject(new Error("and a third time"));
  });
}

function fail(): never {
  throw new Error("asked to fail");
}

serveHandler({
  authenticate: ({ uid }) => (uid === 65_534 ? fail() : "read-write"),
  refusal: fail,
  malformed: fail,
  connected: fail,
  disconnected: fail,
  handle({ id, span, peer }) {
    const body = Buffer.from(span.bytes.subarray(span.at, span.at + span.size));
    switch (id) {
      case 1:
        return fail();
      case 2:
        return Promise.reject(new Error("asked to reject"));
      case 3:
        return new Promise(() => {});
      case 4:
        return twice(body, Buffer.from("twice"));
      case 5:
        return TWO_MIB;
      case 6:
        return Promise.resolve(TWO_MIB);
      case 7:
        return undefined as unknown as Reply;
      case 8:
        return "no bytes" as unknown as Reply;
      case 9:
        peer.disconnect("asked to");
        return body;
      default:
        return body;
    }
  },
});
