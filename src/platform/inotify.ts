/**
 * inotify(7), read on demand: `drain` reads the queued events in one system call, so that the next
 * request sees a change, and nothing runs between requests.
 */
import { closeDescriptor } from "./files.ts";
import { cText, shim } from "./shim.ts";

/** Bits of an event's mask and of a watch (linux/inotify.h). */
export const Watch = {
  MODIFY: 0x2,
  ATTRIB: 0x4,
  OPEN: 0x20,
  CLOSE_WRITE: 0x8,
  MOVED_FROM: 0x40,
  MOVED_TO: 0x80,
  CREATE: 0x100,
  DELETE: 0x200,
  DELETE_SELF: 0x400,
  MOVE_SELF: 0x800,
  /** The kernel's queue was full and events were dropped: check everything. */
  OVERFLOW: 0x4000,
  /** The watch was removed; its number is not used again. */
  IGNORED: 0x8000,
  /** Fail for anything but a directory. */
  ONLY_DIRECTORY: 0x0100_0000,
  /** No events of files that have been unlinked. */
  EXCLUDE_UNLINKED: 0x0400_0000,
} as const;

/** The default mask, for a directory and its files. */
const MASK =
  Watch.MODIFY |
  Watch.ATTRIB |
  Watch.CLOSE_WRITE |
  Watch.MOVED_FROM |
  Watch.MOVED_TO |
  Watch.CREATE |
  Watch.DELETE |
  Watch.DELETE_SELF |
  Watch.MOVE_SELF |
  Watch.ONLY_DIRECTORY |
  Watch.EXCLUDE_UNLINKED;

/** struct inotify_event: wd, mask, cookie, len, then len bytes of name. */
const EVENT_BYTES = 16;
const MASK_AT = 4;
const LENGTH_AT = 12;

/** Most reads per drain, against a writer that never pauses; the next drain continues. */
const READS_PER_DRAIN = 16;

/** One event; `name` is latin1, one character per byte, or "" for the directory itself. */
export type OnEvent = (watch: number, mask: number, name: string) => void;

/** Owns its descriptor, and so all its watches. */
export class Inotify implements Disposable {
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(64 * 1024);
  #closed = false;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /**
   * Undefined if no inotify instance is available (fs.inotify.max_user_instances); callers then
   * check the files instead.
   */
  static open(): Inotify | undefined {
    const fd = shim.shim_inotify_open();
    return fd < 0 ? undefined : new Inotify(fd);
  }

  /**
   * Watches a directory, or any other file with a suitable `mask`. Returns the watch's number,
   * which is the same for the same inode, or a negative errno.
   */
  watch(path: string, mask: number = MASK): number {
    return shim.shim_inotify_watch(this.#fd, cText(path), mask);
  }

  /** Removes a watch; its number is not used again. */
  unwatch(watch: number): void {
    shim.shim_inotify_unwatch(this.#fd, watch);
  }

  /**
   * Reports the queued events in order, with at most `reads` reads of 64 KiB each. False when there
   * was none.
   */
  drain(onEvent: OnEvent, reads: number = READS_PER_DRAIN): boolean {
    for (let turn = 0; turn < reads; turn++) {
      const size = shim.shim_inotify_read(this.#fd, this.#buffer, this.#buffer.length);
      if (size <= 0) return turn > 0;
      this.#parse(size, onEvent);
    }
    return true;
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    closeDescriptor(this.#fd);
  }

  #parse(size: number, onEvent: OnEvent): void {
    const bytes = this.#buffer;
    for (let at = 0; at + EVENT_BYTES <= size;) {
      const from = at + EVENT_BYTES;
      const end = from + bytes.readUInt32LE(at + LENGTH_AT);
      const nul = bytes.indexOf(0, from);
      const name =
        end === from ? "" : bytes.toString("latin1", from, nul < 0 ? end : Math.min(nul, end));
      onEvent(bytes.readInt32LE(at), bytes.readUInt32LE(at + MASK_AT), name);
      at = end;
    }
  }
}
