/** Requests on their way out: a header and a body into the request ring, in place. */
import { Errno } from "../errno.ts";
import { RingWriter } from "../memory/ring.ts";
import type { RingSet } from "../memory/ring-set.ts";
import { RequestHeader } from "../wire/qb.ts";
import { garbage, type QbFailure, ringFull, tooLarge, vanished } from "./failure.ts";

const { id: ID, size: SIZE } = RequestHeader.offset;

/** Bodies up to this many bytes are copied in a loop: under it the loop beats the native call. */
const LOOP_BYTES = 24;

export class RequestWriter {
  readonly #set: RingSet;
  readonly #ring: RingWriter;
  readonly #maxMessageBytes: number;

  constructor(set: RingSet, maxMessageBytes: number) {
    this.#set = set;
    this.#ring = new RingWriter(set.rings.request);
    this.#maxMessageBytes = maxMessageBytes;
  }

  /**
   * Writes one request, its body the `bodyBytes` of `body` from `start` on; `claimedBytes` is what
   * its header says it has in all. Why not, when it cannot.
   */
  write(
    id: number,
    body: Uint8Array,
    start: number,
    bodyBytes: number,
    claimedBytes: number | undefined,
  ): QbFailure | undefined {
    const size = RequestHeader.size + bodyBytes;
    if (size > this.#maxMessageBytes) return tooLarge(size, this.#maxMessageBytes);
    const at = this.#ring.claim(size);
    if (at < 0) return this.#cannotClaim(at as Errno, size);
    const { words, bytes } = this.#set.rings.request;
    const word = at >> 2;
    words[word + (ID >> 2)] = id;
    words[word + (ID >> 2) + 1] = 0;
    words[word + (SIZE >> 2)] = claimedBytes ?? size;
    words[word + (SIZE >> 2) + 1] = 0;
    const from = at + RequestHeader.size;
    if (bodyBytes > LOOP_BYTES) {
      bytes.set(body.subarray(start, start + bodyBytes), from);
    } else {
      for (let i = 0; i < bodyBytes; i++) bytes[from + i] = body[start + i] ?? 0;
    }
    const committed = this.#ring.commit();
    if (this.#set.vanished) return vanished();
    return committed === 0 ? undefined : garbage("the request ring's semaphore is scribbled");
  }

  #cannotClaim(errno: Errno, size: number): QbFailure {
    if (this.#set.vanished) return vanished();
    if (errno === Errno.EAGAIN) return ringFull();
    if (errno === Errno.EMSGSIZE) return tooLarge(size, this.#ring.capacity);
    return garbage("the request ring's index is scribbled");
  }
}
