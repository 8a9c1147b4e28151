/**
 * The machine's own libqb, when it has one, through bun:ffi: the client half, for comparing servers
 * with the library that all real clients use. Calls block, and libqb may wait for ever on a broken
 * server: only for child processes that somebody watches. Nothing else in this program needs libqb.
 */
import { dlopen, read, type Pointer } from "bun:ffi";
import { Errno } from "../errno.ts";
import { cString } from "./shim.ts";

/** sonames of libqb 2.x and of 1.x/0.17, as Debian and others ship them. */
const SONAMES = ["libqb.so.100", "libqb.so.0"];

const SYMBOLS = {
  qb_ipcc_connect: { args: ["buffer", "u64"], returns: "ptr" },
  qb_ipcc_disconnect: { args: ["ptr"], returns: "void" },
  qb_ipcc_send: { args: ["ptr", "buffer", "u64"], returns: "i64_fast" },
  qb_ipcc_recv: { args: ["ptr", "buffer", "u64", "i32"], returns: "i64_fast" },
  qb_ipcc_event_recv: { args: ["ptr", "buffer", "u64", "i32"], returns: "i64_fast" },
  qb_ipcc_is_connected: { args: ["ptr"], returns: "i32" },
  qb_ipcc_fc_enable_max_set: { args: ["ptr", "u32"], returns: "i32" },
  qb_ipcc_get_buffer_size: { args: ["ptr"], returns: "i32" },
} as const;

const LIBC = { __errno_location: { args: [], returns: "ptr" } } as const;

type Library = ReturnType<typeof dlopen<typeof SYMBOLS>>["symbols"];

/** One connection made by libqb. */
export class LibqbConnection {
  readonly #library: Library;
  readonly #connection: Pointer;

  constructor(library: Library, connection: Pointer) {
    this.#library = library;
    this.#connection = connection;
  }

  /** The negotiated size of a message. */
  get bufferBytes(): number {
    return this.#library.qb_ipcc_get_buffer_size(this.#connection);
  }

  get connected(): boolean {
    return this.#library.qb_ipcc_is_connected(this.#connection) !== 0;
  }

  /** Bytes sent, or a negative errno. `message` begins with a request header. */
  send(message: Uint8Array): number {
    return this.#library.qb_ipcc_send(this.#connection, message, message.byteLength);
  }

  /** Bytes received into `buffer`, or a negative errno; `timeoutMs` -1 waits for ever. */
  receive(buffer: Uint8Array, timeoutMs: number): number {
    return this.#library.qb_ipcc_recv(this.#connection, buffer, buffer.byteLength, timeoutMs);
  }

  receiveEvent(buffer: Uint8Array, timeoutMs: number): number {
    return this.#library.qb_ipcc_event_recv(this.#connection, buffer, buffer.byteLength, timeoutMs);
  }

  /** Flow control levels up to `level` stop this client from now on. */
  setFlowControlMax(level: number): number {
    return this.#library.qb_ipcc_fc_enable_max_set(this.#connection, level);
  }

  close(): void {
    this.#library.qb_ipcc_disconnect(this.#connection);
  }
}

/** The loaded library. */
export class Libqb {
  readonly soname: string;
  readonly #library: Library;
  readonly #errnoLocation: () => Pointer | null;

  private constructor(soname: string, library: Library, errnoLocation: () => Pointer | null) {
    this.soname = soname;
    this.#library = library;
    this.#errnoLocation = errnoLocation;
  }

  /** libqb of this machine, or undefined when there is none. */
  static load(): Libqb | undefined {
    for (const soname of SONAMES) {
      try {
        const { symbols } = dlopen(soname, SYMBOLS);
        const libc = dlopen("libc.so.6", LIBC).symbols;
        return new Libqb(soname, symbols, libc.__errno_location);
      } catch {
        // Not this one; dlopen's message would only say so.
      }
    }
    return undefined;
  }

  /** Connects; a negative errno when that failed. Waits as long as the server lets it. */
  connect(name: string, maxMessageBytes: number): LibqbConnection | number {
    const connection = this.#library.qb_ipcc_connect(cString(name), maxMessageBytes);
    if (connection !== null) return new LibqbConnection(this.#library, connection);
    const location = this.#errnoLocation();
    // pmxcfs refuses with +1, which libqb turns into errno -1: keep the sign it has.
    const errno = location === null ? 0 : read.i32(location, 0);
    return errno === 0 ? Errno.EIO : -errno;
  }
}
