/**
 * One epoll set for all sockets of a service. A turn reads and drops the notify bytes of its
 * connections in C, so that one call from JavaScript handles any number of ready sockets.
 */
import type { Errno } from "../base/errno.ts";
import { allocatePermanent, PAGE_BYTES } from "./memory.ts";
import { shim } from "./shim.ts";

/** Readiness of a descriptor: bits of a turn's `what` (native/shim.c). */
export const Ready = { READ: 1, WRITE: 2, ENDED: 4 } as const;

const [ADD, REMOVE, CHANGE] = [1, 2, 3] as const;

/** A set of watched descriptors; owns its own descriptor, not those in it. */
export class EpollSet implements Disposable {
  readonly fd: number;
  readonly #address: number;
  readonly #table: Int32Array;
  #closed = false;

  private constructor(fd: number) {
    this.fd = fd;
    // C writes it.
    const { address, buffer } = allocatePermanent(PAGE_BYTES);
    this.#address = address;
    this.#table = new Int32Array(buffer);
  }

  /** EMFILE, ENFILE, ENOMEM. */
  static make(): EpollSet | Errno {
    const fd = shim.shim_epoll();
    return fd < 0 ? (fd as Errno) : new EpollSet(fd);
  }

  /** Watches `fd`, reported as `token` (0 to 2^31 - 1), for reading; ENOSPC, ENOMEM. */
  add(fd: number, token: number): 0 | Errno {
    return shim.shim_epoll_watch(this.fd, ADD, fd, token, Ready.READ, 0) as 0 | Errno;
  }

  /** Changes what `fd` is watched for, bits of Ready; `drained`: turns read and drop its bytes. */
  change(fd: number, token: number, interest: number, drained: boolean): 0 | Errno {
    return shim.shim_epoll_watch(this.fd, CHANGE, fd, token, interest, drained ? 1 : 0) as
      | 0
      | Errno;
  }

  /** Stops watching `fd`. Closing its last descriptor does the same. */
  remove(fd: number): void {
    shim.shim_epoll_watch(this.fd, REMOVE, fd, 0, 0, 0);
  }

  /** Collects what is ready now, without waiting; the number of events, at most 64. */
  turn(): number {
    return Math.max(0, shim.shim_epoll_turn(this.fd, this.#address));
  }

  /** The token of an event of the last turn. */
  token(event: number): number {
    return this.#table[2 * event] ?? -1;
  }

  /** Readiness in an event of the last turn, bits of Ready. */
  what(event: number): number {
    return this.#table[2 * event + 1] ?? 0;
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    shim.shim_close(this.fd);
  }
}
