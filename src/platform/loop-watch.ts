/**
 * Watches a descriptor that is not a socket (an epoll set) in Bun's event loop: calls a function
 * while it is readable. Bun's stream sockets would read from it and keep a 4 s timer.
 *
 * The carrier is a UDP socket of Bun: its descriptor is replaced (dup3) by a duplicate of the
 * watched one, with the same user data in the loop's epoll set (epoll-entry.ts). When it is
 * readable, Bun calls recvmmsg(2), gets ENOTSOCK, and calls the socket's error handler: one
 * failed system call per wake-up, no state to restore, no timer. test/platform/loop-watch.test.ts
 * fails if a version of Bun changes this; the fallback is a timer of 1 ms.
 */
import { findEpollEntry } from "./epoll-entry.ts";
import { shim } from "./shim.ts";

/** Interval of the fallback timer. */
const FALLBACK_MS = 1;

/** A UDP socket of Bun, with the descriptor that Bun's types do not declare. */
interface Carrier {
  readonly fd?: number;
  close(): void;
}

/** Watches a descriptor until disposed; the caller keeps the descriptor. */
export class LoopWatch implements Disposable {
  readonly #fd: number;
  readonly #readable: () => void;
  #carrier: Carrier | undefined;
  /** The epoll set of Bun's event loop. */
  #loop: number | undefined;
  #timer: Timer | undefined;
  #disposed = false;

  /**
   * Calls `readable` in each turn of the event loop in which `fd` is readable, from the next turn
   * on. `fd` must not be a socket.
   */
  constructor(fd: number, readable: () => void) {
    this.#fd = fd;
    this.#readable = readable;
    void this.#begin();
  }

  /**
   * False when `fd` could not be added to Bun's loop and a timer polls instead, which is slower and
   * wakes an idle process.
   */
  get isInLoop(): boolean {
    return this.#carrier !== undefined;
  }

  /**
   * Whether a descriptor in Bun's loop is ready (sockets, pipes, other watches; not timers). Always
   * true when `isInLoop` is false.
   */
  get isLoopReady(): boolean {
    return this.#loop === undefined || shim.shim_readable(this.#loop) === 1;
  }

  async #begin(): Promise<void> {
    try {
      const socket = { data: () => {}, error: () => this.#readable() };
      const carrier: Carrier = await Bun.udpSocket({ hostname: "127.0.0.1", port: 0, socket });
      if (this.#disposed || !this.#graft(carrier)) carrier.close();
      else this.#carrier = carrier;
    } catch {
      // No IPv4 sockets here (a seccomp filter, or a kernel without IPv4).
    }
    if (this.#disposed || this.#carrier !== undefined) return;
    this.#timer = setInterval(this.#readable, FALLBACK_MS);
  }

  #graft(carrier: Carrier): boolean {
    const { fd = -1 } = carrier;
    const entry = findEpollEntry(fd);
    if (entry === undefined) return false;
    if (shim.shim_graft(entry.set, fd, this.#fd, entry.low, entry.high) !== 0) return false;
    this.#loop = entry.set;
    return true;
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    clearInterval(this.#timer);
    // Closes the duplicate and so removes it from the loop; the watched descriptor stays open.
    this.#carrier?.close();
    this.#carrier = undefined;
    this.#loop = undefined;
  }
}
