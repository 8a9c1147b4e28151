/**
 * The setup socket after the handshake (libqb ipc_setup.c, ipc_shm.c): carries one notify byte to
 * the server per request and one from it per event (only a hint, which is drained), and its hang-up
 * ends the connection. Owns the descriptor; from `watch` on, Bun owns it.
 */
import type { Socket } from "bun";
import { Errno } from "../base/errno.ts";
import { closeSocket, receiveBytes, sendBytes } from "../platform/socket.ts";
import { disconnected, type QbFailure } from "./failure.ts";

/** Notify bytes; as many as are sent in one system call. */
const NOTIFIES = Buffer.alloc(64);
const ONE_NOTIFY = NOTIFIES.subarray(0, 1);

/**
 * Interval of the attempts to send owed bytes. A libqb server reads one notify byte for each
 * request it has read, and blocks until the byte arrives: corosync then stops passing its token.
 */
const RETRY_MS = 1;

/** Most bytes held back by `together`: a server that has read a request blocks for its byte. */
const MAX_TOGETHER = 16;

/** Most reads per drain, against a server that floods the socket. */
const READS_PER_LOOK = 16;

const HUNG_UP = "the server closed the connection";

export class SetupSocket {
  readonly #fd: number;
  readonly #hints = Buffer.alloc(256);
  #owed = 0;
  /** Bytes that `together` holds back; undefined outside of it. */
  #held: number | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #watched: Socket | undefined;
  #watching = false;
  /** Bun has closed the descriptor; its number may already be reused for another file. */
  #lost = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Notify bytes not sent yet, because the socket is full of unread ones. */
  get owed(): number {
    return this.#owed;
  }

  /**
   * Sends `more` notify bytes and those still owed. A timer sends those for which the socket has no
   * room, within 1 ms after the server has made room.
   */
  notify(more: number): QbFailure | undefined {
    if (this.#lost) return disconnected(HUNG_UP);
    if (this.#held !== undefined) {
      this.#held += more;
      if (this.#held < MAX_TOGETHER) return undefined;
      this.#owed += this.#held;
      this.#held = 0;
    } else this.#owed += more;
    while (this.#owed > 0) {
      const bytes = this.#owed === 1 ? ONE_NOTIFY : NOTIFIES.subarray(0, this.#owed);
      const sent = sendBytes(this.#fd, bytes);
      if (sent === Errno.EAGAIN) {
        this.#retryLater();
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

  #retryLater(): void {
    if (this.#retry !== undefined) return;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      // A hang-up found here is found again by the next call, or reported by the watch.
      if (this.#owed > 0) this.notify(0);
    }, RETRY_MS);
    // Need not keep the process alive: its end closes the socket, and then no bytes are owed.
    this.#retry.unref();
  }

  /** Drains the notify bytes of events; the reason if the server has closed the connection. */
  checkEnd(): QbFailure | undefined {
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
   * Watches the socket in the event loop: calls `woken` for hints, and `hungUp` once at the end.
   * From then on `checkEnd` reports nothing.
   */
  watch(woken: () => void, hungUp: (end: QbFailure) => void): void {
    const lose = (): void => {
      if (this.#lost) return;
      this.#lost = true;
      this.#cancelRetry();
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
    // Bun's types for connect lack `fd`, but it works; the promise is settled when it returns.
    const options = { fd: this.#fd, socket } as unknown as Parameters<typeof Bun.connect>[0];
    Bun.connect(options).catch(lose);
  }

  /** Ends the watch: `checkEnd` drains and checks the socket again. */
  unwatch(): void {
    this.#watching = false;
  }

  close(): void {
    this.#cancelRetry();
    if (this.#lost) return;
    this.#lost = true;
    if (this.#watched === undefined) closeSocket(this.#fd);
    else this.#watched.terminate();
  }

  #cancelRetry(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
  }
}
