/**
 * The setup socket after the set-up: one byte to the server per request, bytes from it per event
 * (hints only, drained unread), and the hang-up that ends a connection (WIRE.md 5). Owns the
 * descriptor.
 */
import { Errno } from "../errno.ts";
import { closeDescriptor } from "../platform/files.ts";
import { receiveBytes, sendBytes } from "../platform/socket.ts";
import { disconnected, type QbFailure } from "./failure.ts";

/** As many notify bytes as go into one system call. */
const NOTIFIES = Buffer.alloc(64);
const ONE_NOTIFY = NOTIFIES.subarray(0, 1);

/** A server that sends hints without end keeps us from nothing else. */
const READS_PER_LOOK = 16;

export class Link {
  readonly #fd: number;
  readonly #hints = Buffer.alloc(256);
  #owed = 0;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Notify bytes that the socket did not take yet: it is full while the server does not read. */
  get owed(): number {
    return this.#owed;
  }

  /** Announces `more` requests, and those that are still owed. */
  notify(more: number): QbFailure | undefined {
    this.#owed += more;
    while (this.#owed > 0) {
      const bytes = this.#owed === 1 ? ONE_NOTIFY : NOTIFIES.subarray(0, this.#owed);
      const sent = sendBytes(this.#fd, bytes);
      if (sent === Errno.EAGAIN) return undefined;
      if (sent < 0) return disconnected("the server closed the connection");
      this.#owed -= sent;
    }
    return undefined;
  }

  /** Drains the event hints; the end of the connection, when the server has gone. */
  end(): QbFailure | undefined {
    for (let reads = 0; reads < READS_PER_LOOK; reads++) {
      const received = receiveBytes(this.#fd, this.#hints);
      if (received === Errno.EAGAIN) return undefined;
      if (received <= 0) return disconnected("the server closed the connection");
      if (received < this.#hints.byteLength) return undefined;
    }
    return undefined;
  }

  close(): void {
    closeDescriptor(this.#fd);
  }
}
