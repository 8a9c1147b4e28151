/**
 * The FUSE device and mount(2): one descriptor per mount, requests read into memory that C may
 * write to, answers written in one call. Owns the descriptor and the memory. Knows no protocol.
 */
import { Errno } from "../base/errno.ts";
import { closeDescriptor } from "./files.ts";
import { allocatePermanent, PAGE_BYTES } from "./memory.ts";
import { cString, shim } from "./shim.ts";

/** umount2(2): lazily, also with processes inside. */
const MNT_DETACH = 2;

const NO_BYTES = new Uint8Array(0);

/** Request memory is never freed, for C may write to it: a device reuses that of a closed one. */
const spareMemory: { readonly address: number; readonly bytes: Buffer }[] = [];

function takeMemory(length: number): { readonly address: number; readonly bytes: Buffer } {
  const index = spareMemory.findIndex(({ bytes }) => bytes.length >= length);
  const [spare] = index < 0 ? [] : spareMemory.splice(index, 1);
  if (spare !== undefined) return spare;
  const size = Math.ceil(length / PAGE_BYTES) * PAGE_BYTES;
  const { address, buffer } = allocatePermanent(size);
  return { address, bytes: Buffer.from(buffer) };
}

/** What a FUSE session reads requests from and writes answers to. */
export class FuseDevice implements Disposable {
  readonly fd: number;
  readonly #memory: { readonly address: number; readonly bytes: Buffer };
  #closed = false;

  /** Takes over `fd`; `requestBytes` is the largest request (4096 + max_write at least). */
  constructor(fd: number, requestBytes: number) {
    this.fd = fd;
    this.#memory = takeMemory(requestBytes);
  }

  /**
   * Opens the device. ENOENT: the kernel has no FUSE; EPERM, EACCES: not permitted here (a
   * container without the device).
   */
  static open(requestBytes: number): FuseDevice | Errno {
    const fd = shim.shim_fuse_open();
    return fd < 0 ? (fd as Errno) : new FuseDevice(fd, requestBytes);
  }

  /** The memory of the last request: overwritten by the next `read`. */
  get request(): Buffer {
    return this.#memory.bytes;
  }

  /** mount(2) at `directory`; `options` beside the descriptor, comma-separated. */
  mount(directory: string, options: string): 0 | Errno {
    const data = `fd=${this.fd},${options}`;
    return shim.shim_fuse_mount(cString(directory), cString(data)) as 0 | Errno;
  }

  /**
   * Reads one request into `request`; its bytes, or an errno: EAGAIN when there is none (after
   * `pollNs` of polling), ENODEV after unmount or abort.
   */
  read(pollNs: number): number {
    const { address, bytes } = this.#memory;
    return shim.shim_fuse_read(this.fd, address, bytes.length, pollNs);
  }

  /** Writes `size` bytes of `head`, then `body`. ENOENT: the request is gone; EINVAL: refused. */
  answer(head: Buffer, size: number, body: Uint8Array = NO_BYTES): number {
    return shim.shim_fuse_answer(this.fd, head, size, body, body.length);
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    closeDescriptor(this.fd);
    spareMemory.push(this.#memory);
  }
}

/** Unmounts `directory` lazily. EINVAL: nothing is mounted there; EPERM: not permitted. */
export function detachMount(directory: string): 0 | Errno {
  return shim.shim_unmount(cString(directory), MNT_DETACH) as 0 | Errno;
}
