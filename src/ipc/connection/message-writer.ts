/**
 * Writes responses or events directly into their ring: the header, then the body, copied once. A
 * large body that is likely to be sent again is copied before the client asks for it.
 */
import { Errno } from "../../base/errno.ts";
import type { RingWriter } from "../../shm/ring.ts";
import { ResponseHeader } from "../../wire/qb.ts";

const { id: ID, size: SIZE, error: ERROR } = ResponseHeader.offset;

/** Bodies up to this many bytes are copied in a loop, which is then faster than the native call. */
const LOOP_BYTES = 24;

/** From this many bytes on, copying a body takes a client or a server a microsecond or more. */
const LARGE_BYTES = 4096;

/** Larger bodies are not copied beforehand: it may be in vain, and holds the loop for 0.1 ms. */
const MOST_PREPARED_BYTES = 1 << 20;

export class MessageWriter {
  readonly #ring: RingWriter;
  readonly #isConstant: boolean;
  /** Whether the body of the last message is one that takes long to copy. */
  isLarge = false;
  /** The next message is expected soon. */
  #isExpected = false;
  /** The body of the last message, if it may be copied beforehand. */
  #last: Uint8Array | undefined;
  /** It was the body of the message before, too. */
  #isRepeated = false;
  /** Where `#last` was copied to beforehand, in the ring's bytes; -1: nowhere. */
  #preparedAt = -1;

  /** `isConstant`: the bytes of a body never change, so the same object is the same body. */
  constructor(ring: RingWriter, isConstant: boolean) {
    this.#ring = ring;
    this.#isConstant = isConstant;
  }

  /** Whether the reader slept until the last message came. */
  get hasWoken(): boolean {
    return this.#ring.hasWoken;
  }

  /** Address of the ring's semaphore, which counts the messages that are not read yet. */
  get semaphoreAddress(): number {
    return this.#ring.memory.semaphoreAddress;
  }

  /**
   * Sends a message with `id`, `error` and `body`. EMSGSIZE: larger than the ring; EAGAIN: no room
   * until the client reads; EPROTO: the client overwrote the ring's indices.
   */
  write(id: number, error: number, body: Uint8Array): 0 | Errno {
    const ring = this.#ring;
    const bodyBytes = body.byteLength;
    const size = ResponseHeader.size + bodyBytes;
    const at = ring.allocChunk(size);
    if (at < 0) return at as Errno;
    const { words, bytes } = ring.memory;
    const word = at >>> 2;
    words[word + (ID >> 2)] = id;
    words[word + (ID >> 2) + 1] = 0;
    words[word + (SIZE >> 2)] = size;
    words[word + (SIZE >> 2) + 1] = 0;
    words[word + (ERROR >> 2)] = error;
    words[word + (ERROR >> 2) + 1] = 0;
    const from = at + ResponseHeader.size;
    if (bodyBytes <= LOOP_BYTES) {
      for (let i = 0; i < bodyBytes; i++) bytes[from + i] = body[i] ?? 0;
    } else if (body !== this.#last || from !== this.#preparedAt) {
      bytes.set(body, from);
    }
    this.isLarge = bodyBytes >= LARGE_BYTES;
    if (this.#isExpected) this.#remember(body);
    return ring.commit();
  }

  /**
   * For the time in which the server only waits for the next request: if the last two messages
   * since the first call had the same large body, copies it to where the next message will be. That
   * part of the ring belongs to the writer; a client that changes it changes only what it reads
   * itself.
   */
  prepare(): void {
    this.#isExpected = this.#isConstant;
    const body = this.#last;
    if (body === undefined || !this.#isRepeated || this.#preparedAt >= 0) return;
    const at = this.#ring.nextPayload(ResponseHeader.size + body.byteLength);
    if (at < 0) return;
    this.#preparedAt = at + ResponseHeader.size;
    this.#ring.memory.bytes.set(body, this.#preparedAt);
  }

  /** No message is expected soon: lets go of the last body, until `prepare` is called again. */
  forget(): void {
    this.#isExpected = false;
    this.#last = undefined;
    this.#isRepeated = false;
    this.#preparedAt = -1;
  }

  #remember(body: Uint8Array): void {
    this.#preparedAt = -1;
    const isFit = this.isLarge && body.byteLength <= MOST_PREPARED_BYTES;
    this.#isRepeated = isFit && body === this.#last;
    this.#last = isFit ? body : undefined;
  }
}
