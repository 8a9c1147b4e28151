/**
 * The epoll set with all sockets of a service. A turn reads and drops the notify bytes in C, so
 * that one call from JavaScript handles up to 64 ready sockets.
 */
import type { Errno } from "../base/errno.ts";
import { allocatePermanent, PAGE_BYTES } from "./memory.ts";
import { shim } from "./shim.ts";

/** Bits of a descriptor's readiness (CAN_READ, CAN_WRITE and ENDED of native/shim.c). */
export const Ready = { READ: 1, WRITE: 2, ENDED: 4 } as const;

/** EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD. */
const [ADD, REMOVE, CHANGE] = [1, 2, 3] as const;

/** A set of watched descriptors; owns its own descriptor, but not its members. */
export class EpollSet implements Disposable {
  readonly fd: number;
  readonly #address: number;
  readonly #table: Int32Array;
  #closed = false;

  private constructor(fd: number) {
    this.fd = fd;
    // C writes the events into it.
    const { address, buffer } = allocatePermanent(PAGE_BYTES);
    this.#address = address;
    this.#table = new Int32Array(buffer);
  }

  /** Makes a set. EMFILE, ENFILE, ENOMEM. */
  static make(): EpollSet | Errno {
    const fd = shim.shim_epoll();
    return fd < 0 ? (fd as Errno) : new EpollSet(fd);
  }

  /** Watches `fd` for reading, under `token` (0 to 2^31 - 1). ENOSPC, ENOMEM. */
  add(fd: number, token: number): 0 | Errno {
    return shim.shim_epoll_watch(this.fd, ADD, fd, token, Ready.READ, 0) as 0 | Errno;
  }

  /**
   * Changes the bits of Ready that `fd` is watched for (0: only its end); `drained`: turns read and
   * drop its bytes.
   */
  change(fd: number, token: number, interest: number, drained: boolean): 0 | Errno {
    return shim.shim_epoll_watch(this.fd, CHANGE, fd, token, interest, drained ? 1 : 0) as
      | 0
      | Errno;
  }

  /** Stops watching `fd`; closing its last duplicate does so, too. */
  remove(fd: number): void {
    shim.shim_epoll_watch(this.fd, REMOVE, fd, 0, 0, 0);
  }

  /** Collects ready descriptors without waiting; returns the number of events, at most 64. */
  turn(): number {
    return Math.max(0, shim.shim_epoll_turn(this.fd, this.#address));
  }

  /** The token of an event from the last turn. */
  token(event: number): number {
    return this.#table[2 * event] ?? -1;
  }

  /** The readiness in an event from the last turn: bits of Ready. */
  readiness(event: number): number {
    return this.#table[2 * event + 1] ?? 0;
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    shim.shim_close(this.fd);
  }
}
