/**
 * A server whose handler fails in every way one can, by request id; 0 is echoed. Its hooks throw
 * too, and so does its judgement of uid 65534.
 */
import type { Reply } from "../../../src/index.ts";
import { serveHandler } from "./serving.ts";

const TWO_MIB = new Uint8Array(2 * 1024 * 1024);

/** Settles twice: the second answer must not be sent. */
function twice(first: Uint8Array, second: Uint8Array): Promise<Reply> {
  return new Promise((resolve, reject) => {
    resolve(first);
    // The mistake this server is for.
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
