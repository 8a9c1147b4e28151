/**
 * Ring directories prepared while the server is idle, so that a connect does not wait for the
 * reservation of pages. Each is used once. All have the size that was requested last.
 */
import type { Errno } from "../base/errno.ts";
import { PVE_MESSAGE_BYTES } from "../base/limits.ts";
import type { FileDirectory } from "../platform/files.ts";
import type { Credentials } from "../platform/socket.ts";
import { RingDirectory } from "./ring-directory.ts";
import { ringDataBytes } from "./ring-set.ts";

/** Larger rings are made on demand: prepared ones would take much of /dev/shm. */
const LARGEST_READY = ringDataBytes(PVE_MESSAGE_BYTES);

export class RingPool implements Disposable {
  readonly #parent: FileDirectory;
  readonly #service: string;
  readonly #count: number;
  readonly #ready: RingDirectory[] = [];
  #wantedBytes = 0;
  #refill: Timer | undefined;
  #firstRefill: NodeJS.Immediate | undefined;

  /** Keeps up to `count` directories ready in `parent`; 0: all are made on demand. */
  constructor(parent: FileDirectory, service: string, count: number) {
    this.#parent = parent;
    this.#service = service;
    this.#count = count;
  }

  /** Bytes of /dev/shm that the prepared directories take. */
  get bytes(): number {
    return this.#ready.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  get readyCount(): number {
    return this.#ready.length;
  }

  /**
   * A directory with unused rings of `dataBytes`, given to `peer` on `socketFd`. The caller owns
   * it. Errors as of `make` and `giveTo`. On ENOSPC, `drain` the pool and try again.
   */
  takeFor(peer: Credentials, socketFd: number, dataBytes: number): RingDirectory | Errno {
    const found = this.#ready.findIndex((ready) => ready.dataBytes === dataBytes);
    const [ready] = found === -1 ? [] : this.#ready.splice(found, 1);
    const rings = ready ?? RingDirectory.make(this.#parent, this.#service, dataBytes);
    if (typeof rings === "number") return rings;
    const given = rings.giveTo(peer, socketFd);
    if (given === 0) return rings;
    rings[Symbol.dispose]();
    return given;
  }

  /**
   * Prepares one directory after each `delayMs` without another call, until the pool is full. If
   * none is left, clients connect one after the other: the next is prepared in a turn soon, while
   * the last client still maps its rings.
   */
  refillLater(dataBytes: number, delayMs: number): void {
    if (this.#count === 0 || dataBytes > LARGEST_READY) return;
    if (this.#wantedBytes !== dataBytes) this.drain();
    this.#wantedBytes = dataBytes;
    this.#cancelRefill();
    const refill = (): void => this.#refillOne(delayMs);
    if (this.#ready.length === 0) {
      // Not in this turn: it may remove rings already, and sockets come first.
      this.#firstRefill = setImmediate(() => (this.#firstRefill = setImmediate(refill)));
      return;
    }
    this.#refill = setTimeout(refill, delayMs);
    this.#refill.unref();
  }

  #cancelRefill(): void {
    clearTimeout(this.#refill);
    clearImmediate(this.#firstRefill);
  }

  #refillOne(delayMs: number): void {
    if (this.#ready.length >= this.#count) return;
    const made = RingDirectory.make(this.#parent, this.#service, this.#wantedBytes);
    // /dev/shm is full: leave the rest to clients that connect.
    if (typeof made === "number") return;
    this.#ready.push(made);
    this.refillLater(this.#wantedBytes, delayMs);
  }

  /** Removes the prepared directories. */
  drain(): void {
    for (const ready of this.#ready.splice(0)) ready[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#cancelRefill();
    this.drain();
  }
}
