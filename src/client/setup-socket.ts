/**
 * The setup socket after the handshake (libqb ipc_setup.c, ipc_shm.c): one notify byte to the
 * server per request, one byte from it per event (a hint, drained unread), and the hang-up that
 * ends the connection. Owns the descriptor, or hands it to Bun once the event loop watches it.
 */
import type { Socket } from "bun";
import { Errno } from "../base/errno.ts";
import { closeDescriptor } from "../platform/files.ts";
import { receiveBytes, sendBytes } from "../platform/socket.ts";
import { disconnected, type QbFailure } from "./failure.ts";

/** The most notify bytes in one system call. */
const NOTIFIES = Buffer.alloc(64);
const ONE_NOTIFY = NOTIFIES.subarray(0, 1);

/**
 * While bytes are owed, they are offered again after this. A libqb server reads one notify byte per
 * request it took and blocks until it has them: corosync stops passing its token meanwhile.
 */
const PAY_AGAIN_MS = 1;

/** Bytes held back at most: a server that takes a request blocks until its byte is there. */
const MOST_TOGETHER = 16;

/** Reads per look at the hints: bounds what a server that floods them can cost. */
const READS_PER_LOOK = 16;

const HUNG_UP = "the server closed the connection";

export class SetupSocket {
  readonly #fd: number;
  readonly #hints = Buffer.alloc(256);
  #owed = 0;
  /** Bytes that `together` has held back so far; undefined outside of it. */
  #held: number | undefined;
  #payment: ReturnType<typeof setTimeout> | undefined;
  #watched: Socket | undefined;
  #watching = false;
  /** Bun has closed the descriptor; its number may already belong to another file. */
  #lost = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Notify bytes not sent yet, because the socket is full: the server has not read the others. */
  get owed(): number {
    return this.#owed;
  }

  /**
   * Sends `more` notify bytes and those still owed. What the socket does not take is sent by a
   * timer within 1 ms of the server making room, whatever the caller does next.
   */
  notify(more: number): QbFailure | undefined {
    if (this.#lost) return disconnected(HUNG_UP);
    if (this.#held !== undefined) {
      this.#held += more;
      if (this.#held < MOST_TOGETHER) return undefined;
      this.#owed += this.#held;
      this.#held = 0;
    } else this.#owed += more;
    while (this.#owed > 0) {
      const bytes = this.#owed === 1 ? ONE_NOTIFY : NOTIFIES.subarray(0, this.#owed);
      const sent = sendBytes(this.#fd, bytes);
      if (sent === Errno.EAGAIN) {
        this.#payLater();
        return undefined;
      }
      if (sent < 0) return disconnected(HUNG_UP);
      this.#owed -= sent;
    }
    return undefined;
  }

  /** Calls `sends`, whose notify bytes go out in one system call for up to 16 of them. */
  together(sends: () => void): QbFailure | undefined {
    this.#held ??= 0;
    let failure: QbFailure | undefined;
    try {
      sends();
    } finally {
      const held = this.#held;
      this.#held = undefined;
      if (held > 0) failure = this.notify(held);
    }
    return failure;
  }

  #payLater(): void {
    if (this.#payment !== undefined) return;
    this.#payment = setTimeout(() => {
      this.#payment = undefined;
      // A hang-up found here is found again by the next call, or reported by the watch.
      if (this.#owed > 0) this.notify(0);
    }, PAY_AGAIN_MS);
    // A process that ends closes the socket, and then nothing is owed any more.
    this.#payment.unref();
  }

  /** Drains the event hints; why the connection ended, when the server has closed it. */
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
   * Has the event loop watch the socket: `woken` is called for hints, `hungUp` at the end, once.
   * From then on `end` reports nothing.
   */
  watch(woken: () => void, hungUp: (end: QbFailure) => void): void {
    const lose = (): void => {
      if (this.#lost) return;
      this.#lost = true;
      this.#stopPaying();
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

  /** Ends the watch's claim on the hints: `end` looks at the socket itself again. */
  unwatch(): void {
    this.#watching = false;
  }

  close(): void {
    this.#stopPaying();
    if (this.#lost) return;
    this.#lost = true;
    if (this.#watched === undefined) closeDescriptor(this.#fd);
    else this.#watched.terminate();
  }

  #stopPaying(): void {
    clearTimeout(this.#payment);
    this.#payment = undefined;
  }
}
