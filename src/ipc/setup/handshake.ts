/**
 * The set-up messages of libqb (WIRE.md 2): collects the client's 24 bytes, however they arrive,
 * and writes the 12328 bytes of the answer.
 */
import { Errno } from "../../base/errno.ts";
import type { RingDirectory } from "../../shm/ring-directory.ts";
import { ConnectionRequest, ConnectionResponse, QB_IPC_SHM, QbMessage } from "../../wire/qb.ts";
import { newSpan } from "../../wire/struct.ts";

const { read } = ConnectionRequest;
const { write } = ConnectionResponse;

/** What a client's set-up request asked for, once it is whole. */
export type Greeting =
  | { readonly kind: "incomplete" }
  | { readonly kind: "wrong"; readonly why: string }
  /** `rest`: bytes that came behind it (notify bytes of an eager client). */
  | { readonly kind: "whole"; readonly maxMessageBytes: number; readonly rest: number };

/** Collects one set-up request. */
export class GreetingReader {
  readonly #span = newSpan(ConnectionRequest.size);
  #received = 0;

  take(bytes: Uint8Array): Greeting {
    const wanted = ConnectionRequest.size - this.#received;
    const part = bytes.subarray(0, wanted);
    this.#span.bytes.set(part, this.#received);
    this.#received += part.byteLength;
    if (this.#received < ConnectionRequest.size) return { kind: "incomplete" };
    const id = read.id(this.#span);
    if (id !== QbMessage.AUTHENTICATE) {
      return { kind: "wrong", why: `message ${id} where the set-up request (-1) belongs` };
    }
    const maxMessageBytes = read.maxMessageBytes(this.#span);
    return { kind: "whole", maxMessageBytes, rest: bytes.byteLength - wanted };
  }
}

/** The answer that refuses a client: no rings are named. */
export function refusal(error: Errno): Buffer {
  const span = newSpan(ConnectionResponse.size);
  write.id(span, QbMessage.AUTHENTICATE);
  write.size(span, ConnectionResponse.size);
  write.error(span, error);
  return span.bytes;
}

/** The answer that accepts a client: sizes and the names of its rings. */
export function acceptance(rings: RingDirectory, maxMessageBytes: number, number: number): Buffer {
  const span = newSpan(ConnectionResponse.size);
  write.id(span, QbMessage.AUTHENTICATE);
  write.size(span, ConnectionResponse.size);
  write.connectionType(span, QB_IPC_SHM);
  write.maxMessageBytes(span, maxMessageBytes);
  write.connection(span, BigInt(number));
  write.request(span, rings.prefix("request"));
  write.response(span, rings.prefix("response"));
  write.event(span, rings.prefix("event"));
  return span.bytes;
}
