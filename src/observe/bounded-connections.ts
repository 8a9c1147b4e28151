/**
 * The connections of one listening socket, bounded: so many at once, each for so long. When one
 * more comes the oldest goes, not the newest: who connects and holds on does not keep out who is
 * quick. None of them may take descriptors from the service itself.
 */
import type { Socket } from "bun";

export interface ConnectionBounds {
  readonly atOnce: number;
  readonly forMs: number;
}

/** What is said to one of them; undefined until it is known. */
export interface Unsent {
  bytes: Uint8Array | undefined;
}

export class BoundedConnections<T> {
  readonly #limits: ConnectionBounds;
  /** Oldest first, with what ends each. */
  readonly #present = new Map<Socket<T>, Timer>();

  constructor(limits: ConnectionBounds) {
    this.#limits = limits;
  }

  came(connection: Socket<T>): void {
    const [oldest] = this.#present.keys();
    if (oldest !== undefined && this.#present.size >= this.#limits.atOnce) this.#cutOff(oldest);
    const timer = setTimeout(() => this.#cutOff(connection), this.#limits.forMs);
    this.#present.set(connection, timer);
  }

  /** It has closed. */
  gone(connection: Socket<T>): void {
    clearTimeout(this.#present.get(connection));
    this.#present.delete(connection);
  }

  #cutOff(connection: Socket<T>): void {
    this.gone(connection);
    connection.terminate();
  }
}

/** Sends what there is room for, and the end of the stream after the last of it. */
export function sendOn(socket: Socket<Unsent>): void {
  const { data } = socket;
  if (data.bytes === undefined) return;
  const written = socket.write(data.bytes);
  data.bytes = data.bytes.subarray(Math.max(0, written));
  // Half a close: Bun's clients take a whole one for a connect that failed.
  if (data.bytes.byteLength === 0) socket.shutdown();
}
