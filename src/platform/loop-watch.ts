/**
 * Watches a descriptor that is no socket (an epoll set, /dev/fuse) in Bun's event loop: a callback
 * while it is readable. Bun's own stream sockets would read from it, and keep a 4 s timer running.
 *
 * The carrier is a UDP socket of Bun: a duplicate of the watched descriptor takes the place of its
 * own (dup3), under the same user data in the loop's epoll set, which /proc/self/fdinfo shows. When
 * it is readable Bun calls recvmmsg(2), gets ENOTSOCK, and calls the socket's error handler: one
 * failed system call per wake-up, no state to restore, no timer. test/platform/loop-watch.test.ts
 * fails when an update of Bun changes this; the fallback is a timer of 1 ms.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { shim } from "./shim.ts";

/** Interval of the fallback timer. */
const FALLBACK_MS = 1;

/** Bun's UDP socket has a descriptor, which its types do not mention. */
interface Carrier {
  readonly fd?: number;
  close(): void;
}

/** The epoll set that watches `fd`, and the user data it does so with. */
function findLoop(fd: number): { readonly loop: number; readonly data: number } | undefined {
  const row = new RegExp(`^tfd:\\s+${fd} events:\\s+\\S+ data:\\s+([0-9a-f]+)`, "mu");
  for (const name of readdirSync("/proc/self/fd")) {
    try {
      if (readlinkSync(`/proc/self/fd/${name}`) !== "anon_inode:[eventpoll]") continue;
      const data = row.exec(readFileSync(`/proc/self/fdinfo/${name}`, "latin1"))?.[1];
      if (data !== undefined) return { loop: Number(name), data: Number.parseInt(data, 16) };
    } catch {
      // Closed meanwhile: the descriptor that listed the directory.
    }
  }
  return undefined;
}

/** Watches a descriptor until disposed; the descriptor stays its caller's. */
export class LoopWatch implements Disposable {
  readonly #fd: number;
  readonly #readable: () => void;
  #carrier: Carrier | undefined;
  /** The epoll set of Bun's event loop. */
  #loop: number | undefined;
  #timer: Timer | undefined;
  #disposed = false;

  /**
   * Calls `readable` in each turn of the event loop in which `fd`, which must not be a socket, is
   * readable. It begins when the current turn is over.
   */
  constructor(fd: number, readable: () => void) {
    this.#fd = fd;
    this.#readable = readable;
    void this.#begin();
  }

  /**
   * False when Bun's loop could not be joined and a timer polls instead: slower, and never idle.
   */
  get isInLoop(): boolean {
    return this.#carrier !== undefined;
  }

  /**
   * Whether anything Bun's loop watches is ready: sockets, pipes, other watches; not timers. Always
   * true outside the loop.
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
      // No IPv4 in this process (a seccomp filter, a kernel without it).
    }
    if (this.#disposed || this.#carrier !== undefined) return;
    this.#timer = setInterval(this.#readable, FALLBACK_MS);
  }

  #graft(carrier: Carrier): boolean {
    const { fd = -1 } = carrier;
    const found = findLoop(fd);
    if (found === undefined) return false;
    if (shim.shim_graft(found.loop, fd, this.#fd, found.data) !== 0) return false;
    this.#loop = found.loop;
    return true;
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    clearInterval(this.#timer);
    // Takes it out of the loop, and closes the carrier's descriptor, not the watched one.
    this.#carrier?.close();
    this.#carrier = undefined;
    this.#loop = undefined;
  }
}
