/**
 * Like test/native/qb-control-server.c, on our library: request 100 causes events to its client,
 * 101 events to all clients, 102 flow control; the answer is the body of the request.
 */
import { EMPTY_REPLY } from "../../../src/index.ts";
import { serveHandler } from "./serving.ts";

const EVENT_ID = 200;
const LIFT_AFTER_MS = 300;

function numbered(number: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(number);
  return bytes;
}

const server = serveHandler({
  authenticate: () => "read-write",
  handle({ id, span, peer }) {
    const body = Buffer.from(span.bytes.subarray(span.at, span.at + span.size));
    const value = body.length >= 4 ? body.readUInt32LE() : 0;
    if (id === 100) {
      for (let i = 0; i < value; i++) peer.sendEvent(EVENT_ID, numbered(i));
    } else if (id === 101) {
      for (let i = 0; i < value; i++) server.broadcastEvent(EVENT_ID, numbered(i));
    } else if (id === 102) {
      peer.holdRequests(value === 1 || value === 2 ? value : 0);
      setTimeout(() => peer.holdRequests(0), LIFT_AFTER_MS);
    }
    return body.length === 0 ? EMPTY_REPLY : body;
  },
});
