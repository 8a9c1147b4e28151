/** Writes a response or an event directly into its ring: the header, then the body, copied once. */
import { Errno } from "../../base/errno.ts";
import type { RingWriter } from "../../shm/ring.ts";
import { ResponseHeader } from "../../wire/qb.ts";

const { id: ID, size: SIZE, error: ERROR } = ResponseHeader.offset;

/** Bodies up to this many bytes are copied in a loop, which is then faster than the native call. */
const LOOP_BYTES = 24;

/**
 * Sends a message with `id`, `error` and `body`. EMSGSIZE: larger than the ring; EAGAIN: no room
 * until the client reads; EPROTO: the client overwrote the ring's indices.
 */
export function writeMessage(
  ring: RingWriter,
  id: number,
  error: number,
  body: Uint8Array,
): 0 | Errno {
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
  if (bodyBytes > LOOP_BYTES) {
    bytes.set(body, from);
  } else {
    for (let i = 0; i < bodyBytes; i++) bytes[from + i] = body[i] ?? 0;
  }
  return ring.commit();
}
