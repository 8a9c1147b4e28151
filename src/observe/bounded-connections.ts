/**
 * The connections of one listening socket, with a bound on their number and on the duration of
 * each. When one more comes the oldest is closed: a reader that holds on does not keep out quick
 * ones. They must not use up the descriptors of the service itself.
 */
import type { Socket } from "bun";

export interface ConnectionBounds {
  readonly atOnce: number;
  readonly forMs: number;
}

/** The rest of the answer to one of them; undefined until it is known. */
export interface Unsent {
  bytes: Uint8Array | undefined;
}

export class BoundedConnections<T> {
  readonly #limits: ConnectionBounds;
  /** Oldest first, each with the timer that closes it. */
  readonly #present = new Map<Socket<T>, Timer>();

  constructor(limits: ConnectionBounds) {
    this.#limits = limits;
  }

  add(connection: Socket<T>): void {
    const [oldest] = this.#present.keys();
    if (oldest !== undefined && this.#present.size >= this.#limits.atOnce) this.#cutOff(oldest);
    const timer = setTimeout(() => this.#cutOff(connection), this.#limits.forMs);
    this.#present.set(connection, timer);
  }

  /** The connection has closed. */
  remove(connection: Socket<T>): void {
    clearTimeout(this.#present.get(connection));
    this.#present.delete(connection);
  }

  #cutOff(connection: Socket<T>): void {
    this.remove(connection);
    connection.terminate();
  }
}

/** Sends as much as there is room for; ends the stream after the last byte. */
export function sendOn(socket: Socket<Unsent>): void {
  const { data } = socket;
  if (data.bytes === undefined) return;
  const written = socket.write(data.bytes);
  data.bytes = data.bytes.subarray(Math.max(0, written));
  // Only the writing half: Bun's clients report a full close as a failed connect.
  if (data.bytes.byteLength === 0) socket.shutdown();
}
