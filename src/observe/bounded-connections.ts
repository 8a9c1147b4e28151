/**
 * The connections of one listening socket, with a bound on their number and on the duration of
 * each, so that they do not use up the descriptors of the service. A connection above the bound
 * closes the oldest, so that a slow reader does not keep out fast ones.
 */
import type { Socket } from "bun";

export interface ConnectionBounds {
  readonly atOnce: number;
  readonly forMs: number;
}

/** The unsent part of the answer on one connection; undefined until there is an answer. */
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

/** Sends as much as the socket has room for; ends the stream after the last byte. */
export function sendOn(socket: Socket<Unsent>): void {
  const { data } = socket;
  if (data.bytes === undefined) return;
  const written = socket.write(data.bytes);
  data.bytes = data.bytes.subarray(Math.max(0, written));
  // Closes only the writing half: Bun's clients report a full close as a failed connect.
  if (data.bytes.byteLength === 0) socket.shutdown();
}
