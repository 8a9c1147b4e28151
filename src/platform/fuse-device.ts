/**
 * The FUSE device and mount(2): one descriptor per mount; requests are read into memory from the
 * shim, answers are written in one call. Owns the descriptor and the memory; does not parse either.
 */
import { Errno } from "../base/errno.ts";
import { closeDescriptor } from "./files.ts";
import { allocatePermanent, pages } from "./memory.ts";
import { type Address, cText, shim } from "./shim.ts";

/** umount2(2): lazy unmount, which works with processes inside. */
const MNT_DETACH = 2;

const NO_BYTES = new Uint8Array(0);

/** Memory that C reads requests into. */
interface RequestMemory {
  readonly address: Address;
  readonly bytes: Buffer;
}

/** Request memory is never freed, as views of it may exist; a new device reuses a closed one's. */
const spareMemory: RequestMemory[] = [];

function takeMemory(length: number): RequestMemory {
  const index = spareMemory.findIndex(({ bytes }) => bytes.length >= length);
  const [spare] = index < 0 ? [] : spareMemory.splice(index, 1);
  if (spare !== undefined) return spare;
  const { address, buffer } = allocatePermanent(pages(length));
  return { address, bytes: Buffer.from(buffer) };
}

/** An open FUSE device, from which a session reads requests and to which it writes answers. */
export class FuseDevice implements Disposable {
  readonly fd: number;
  readonly #memory: RequestMemory;
  #closed = false;

  /** Takes ownership of `fd`; `requestBytes`: the largest request (at least 4096 + max_write). */
  constructor(fd: number, requestBytes: number) {
    this.fd = fd;
    this.#memory = takeMemory(requestBytes);
  }

  /**
   * Opens the device. ENOENT: the kernel has no FUSE; EPERM, EACCES: not permitted (as in a
   * container without the device).
   */
  static open(requestBytes: number): FuseDevice | Errno {
    const fd = shim.shim_fuse_open();
    return fd < 0 ? (fd as Errno) : new FuseDevice(fd, requestBytes);
  }

  /** The memory of the last request, which the next `read` overwrites. */
  get request(): Buffer {
    return this.#memory.bytes;
  }

  /** mount(2) at `directory`; `options`: comma-separated, without the descriptor. */
  mount(directory: string, options: string): 0 | Errno {
    const data = `fd=${this.fd},${options}`;
    return shim.shim_fuse_mount(cText(directory), cText(data)) as 0 | Errno;
  }

  /**
   * Reads one request into `request`; returns its size, or an errno: EAGAIN: there was none within
   * `pollNs`; ENODEV: unmounted, aborted or closed.
   */
  read(pollNs: number): number {
    if (this.#closed) return Errno.ENODEV;
    const { address, bytes } = this.#memory;
    return shim.shim_fuse_read(this.fd, address, bytes.length, pollNs);
  }

  /**
   * Writes `size` bytes of `head`, then `body`. ENOENT: the request is gone; EINVAL: malformed;
   * ENODEV: unmounted or closed. After a stop changes still end, and the descriptor's number may by
   * then be that of a file that a thread has opened, such as config.db.
   */
  answer(head: Buffer, size: number, body: Uint8Array = NO_BYTES): number {
    if (this.#closed) return Errno.ENODEV;
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
  return shim.shim_unmount(cText(directory), MNT_DETACH) as 0 | Errno;
}
