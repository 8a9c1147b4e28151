/** Writes requests, header and body, directly into the request ring. */
import { Errno } from "../base/errno.ts";
import { RingWriter } from "../shm/ring.ts";
import type { RingSet } from "../shm/ring-set.ts";
import { RequestHeader } from "../wire/qb.ts";
import { newSpan } from "../wire/struct.ts";
import { garbage, type QbFailure, ringFull, tooLarge, vanished } from "./failure.ts";

export class RequestWriter {
  readonly #set: RingSet;
  readonly #ring: RingWriter;
  readonly #maxMessageBytes: number;
  readonly #header = newSpan(RequestHeader.size);

  constructor(set: RingSet, maxMessageBytes: number) {
    this.#set = set;
    this.#ring = new RingWriter(set.rings.request);
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** Writes one request; `claimedBytes` replaces the size in its header. Returns a failure. */
  write(id: number, body: Uint8Array, claimedBytes: number | undefined): QbFailure | undefined {
    const size = RequestHeader.size + body.byteLength;
    if (size > this.#maxMessageBytes) return tooLarge(size, this.#maxMessageBytes);
    const at = this.#ring.allocChunk(size);
    if (at < 0) return this.#allocFailure(at as Errno, size);
    RequestHeader.write.id(this.#header, id);
    RequestHeader.write.size(this.#header, claimedBytes ?? size);
    const { bytes } = this.#set.rings.request;
    bytes.set(this.#header.bytes, at);
    bytes.set(body, at + RequestHeader.size);
    const committed = this.#ring.commit();
    if (this.#set.vanished) return vanished();
    return committed === 0 ? undefined : garbage("the request ring's semaphore was overwritten");
  }

  #allocFailure(errno: Errno, size: number): QbFailure {
    if (this.#set.vanished) return vanished();
    if (errno === Errno.EAGAIN) return ringFull();
    if (errno === Errno.EMSGSIZE) return tooLarge(size, this.#ring.capacity);
    return garbage("the request ring's index was overwritten");
  }
}
