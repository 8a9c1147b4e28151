/**
 * Shared memory by address: one reservation of address space per connection, files mapped into it,
 * one ArrayBuffer over all of it. The reservation owns the mapping; views must be dropped before it
 * is disposed (access to a view of unmapped memory is a segfault, not an exception).
 */
import { toArrayBuffer } from "bun:ffi";
import { Errno } from "../base/errno.ts";
import { shim, type Address } from "./shim.ts";

/** Bytes of a page, from sysconf(3): not all machines have 4096. */
export const PAGE_BYTES = shim.shim_page_size();

/** `bytes` rounded up to whole pages. */
export function pages(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}

/** A view of memory that C mapped. */
function viewMemory(address: Address, length: number): ArrayBuffer {
  return toArrayBuffer(address, 0, length);
}

/** Zeroed private memory that C may keep pointers to; never freed. */
export function allocatePermanent(length: number): { address: Address; buffer: ArrayBuffer } {
  const address = shim.shim_allocate(length);
  if (address < 0) throw new Error(`cannot map ${length} bytes of memory (errno ${-address})`);
  return { address, buffer: viewMemory(address, length) };
}

/** Ranges that can be guarded at once (GUARD_SLOTS of native/shim.c). */
const GUARD_SLOTS = 65_536;

/** Handled faults, counted by the SIGBUS handler: [0] all, [1 + slot] those of that range. */
const guardHits = new Int32Array(viewMemory(shim.shim_guard_install(), 4 * (1 + GUARD_SLOTS)));

/** Changes whenever guarded memory vanished (a peer truncated a file). */
export function vanishedCount(): number {
  return guardHits[0] ?? 0;
}

/** Address space with files mapped into it. ENOMEM, ENFILE: no address space, no guard slot. */
export class Reservation implements Disposable {
  readonly address: Address;
  readonly length: number;
  #slot: number;
  #released = false;

  private constructor(address: Address, length: number, slot: number) {
    this.address = address;
    this.length = length;
    this.#slot = slot;
  }

  static of(length: number): Reservation | Errno {
    const address = shim.shim_reserve(length);
    if (address < 0) return Errno.ENOMEM;
    const slot = shim.shim_guard_add(address, length);
    if (slot < 0) {
      shim.shim_release(address, length);
      return Errno.ENFILE;
    }
    return new Reservation(address, length, slot);
  }

  /** Maps the first `length` bytes of `fd` at `offset`; ENOMEM and other errnos of mmap(2). */
  place(offset: number, fd: number, length: number): 0 | Errno {
    return shim.shim_place(this.address + offset, fd, length) as 0 | Errno;
  }

  /** A view of the whole reservation; parts without a mapping must not be accessed. */
  view(): ArrayBuffer {
    return viewMemory(this.address, this.length);
  }

  /** True when a page of it vanished: from then on its content is zeros, in private memory. */
  get vanished(): boolean {
    return guardHits[1 + this.#slot] !== 0;
  }

  [Symbol.dispose](): void {
    if (this.#released) return;
    this.#released = true;
    shim.shim_guard_remove(this.#slot);
    shim.shim_release(this.address, this.length);
  }
}
