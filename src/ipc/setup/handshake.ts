/**
 * The set-up messages of libqb (ipc_setup.c): reads the client's 24 bytes, which may arrive in
 * parts, and writes the 12328 bytes of the answer.
 */
import { Errno } from "../../base/errno.ts";
import type { RingDirectory } from "../../shm/ring-directory.ts";
import { ConnectionRequest, ConnectionResponse, QB_IPC_SHM, QbMessage } from "../../wire/qb.ts";
import { newSpan } from "../../wire/struct.ts";

const { read } = ConnectionRequest;
const { write } = ConnectionResponse;

/** Collects the parts of one set-up request. */
export class SetupRequestReader {
  readonly #span = newSpan(ConnectionRequest.size);
  #received = 0;

  /** Bytes that have not arrived yet. */
  get missing(): number {
    return ConnectionRequest.size - this.#received;
  }

  /** The message size that the client asked for; valid once nothing is missing. */
  get maxMessageBytes(): number {
    return read.maxMessageBytes(this.#span);
  }

  /** Takes at most `missing` bytes; returns what is wrong with the request, if anything. */
  take(bytes: Uint8Array): string | undefined {
    this.#span.bytes.set(bytes, this.#received);
    this.#received += bytes.byteLength;
    if (this.missing > 0) return undefined;
    const id = read.id(this.#span);
    if (id === QbMessage.AUTHENTICATE) return undefined;
    return `message ${id} where the set-up request (-1) belongs`;
  }
}

/** All answers are written here: 12 KiB of garbage for each connect would add up. */
const answer = newSpan(ConnectionResponse.size);

function beginAnswer(): void {
  answer.bytes.fill(0);
  write.id(answer, QbMessage.AUTHENTICATE);
  write.size(answer, ConnectionResponse.size);
}

/** The answer that refuses a client, without ring names. Valid until the next answer is made. */
export function refusal(error: Errno): Buffer {
  beginAnswer();
  write.error(answer, error);
  return answer.bytes;
}

/**
 * The answer that accepts a client, with the message size and the names of its rings. Valid until
 * the next answer is made.
 */
export function acceptance(rings: RingDirectory, maxMessageBytes: number, number: number): Buffer {
  beginAnswer();
  write.connectionType(answer, QB_IPC_SHM);
  write.maxMessageBytes(answer, maxMessageBytes);
  write.connection(answer, BigInt(number));
  write.request(answer, rings.prefix("request"));
  write.response(answer, rings.prefix("response"));
  write.event(answer, rings.prefix("event"));
  return answer.bytes;
}
