/**
 * The setup socket after the set-up: one byte to the server per request, bytes from it per event
 * (hints only, drained unread), and the hang-up that ends a connection (WIRE.md 5). Owns the
 * descriptor, or has Bun own it once the event loop watches it.
 */
import type { Socket } from "bun";
import { Errno } from "../base/errno.ts";
import { closeDescriptor } from "../platform/files.ts";
import { receiveBytes, sendBytes } from "../platform/socket.ts";
import { disconnected, type QbFailure } from "./failure.ts";

/** As many notify bytes as go into one system call. */
const NOTIFIES = Buffer.alloc(64);
const ONE_NOTIFY = NOTIFIES.subarray(0, 1);

/** A server that sends hints without end keeps us from nothing else. */
const READS_PER_LOOK = 16;

const HUNG_UP = "the server closed the connection";

export class Link {
  readonly #fd: number;
  readonly #hints = Buffer.alloc(256);
  #owed = 0;
  #watched: Socket | undefined;
  #watching = false;
  /** Bun has closed the descriptor, and its number may be another's. */
  #lost = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Notify bytes that the socket did not take yet: it is full while the server does not read. */
  get owed(): number {
    return this.#owed;
  }

  /** Announces `more` requests, and those that are still owed. */
  notify(more: number): QbFailure | undefined {
    if (this.#lost) return disconnected(HUNG_UP);
    this.#owed += more;
    while (this.#owed > 0) {
      const bytes = this.#owed === 1 ? ONE_NOTIFY : NOTIFIES.subarray(0, this.#owed);
      const sent = sendBytes(this.#fd, bytes);
      if (sent === Errno.EAGAIN) return undefined;
      if (sent < 0) return disconnected(HUNG_UP);
      this.#owed -= sent;
    }
    return undefined;
  }

  /** Drains the event hints; the end of the connection, when the server has gone. */
  end(): QbFailure | undefined {
    if (this.#lost) return disconnected(HUNG_UP);
    if (this.#watching) return undefined;
    for (let reads = 0; reads < READS_PER_LOOK; reads++) {
      const received = receiveBytes(this.#fd, this.#hints);
      if (received === Errno.EAGAIN) return undefined;
      if (received <= 0) return disconnected(HUNG_UP);
      if (received < this.#hints.byteLength) return undefined;
    }
    return undefined;
  }

  /**
   * Has the event loop watch it: `woken` hears of hints, `hungUp` of the end. Until that, `end`
   * finds none.
   */
  watch(woken: () => void, hungUp: (end: QbFailure) => void): void {
    const lose = (): void => {
      if (this.#lost) return;
      this.#lost = true;
      hungUp(disconnected(HUNG_UP));
    };
    const socket = {
      open: (opened: Socket) => {
        this.#watched = opened;
        this.#watching = true;
      },
      data: woken,
      close: lose,
      error: lose,
    };
    // `fd` is not in Bun's types for connect, and works; the promise is settled when it returns.
    const options = { fd: this.#fd, socket } as unknown as Parameters<typeof Bun.connect>[0];
    Bun.connect(options).catch(lose);
  }

  /** The loop's watch is over: `end` looks for itself again. */
  unwatch(): void {
    this.#watching = false;
  }

  close(): void {
    if (this.#lost) return;
    this.#lost = true;
    if (this.#watched === undefined) closeDescriptor(this.#fd);
    else this.#watched.terminate();
  }
}
