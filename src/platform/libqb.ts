/**
 * The client functions of the host's own libqb, if there is one, through bun:ffi: for testing
 * servers with the library that all real clients use. Calls block, and on a broken server libqb may
 * wait forever, so only supervised child processes use this. Nothing else here needs libqb.
 */
import { dlopen, type FFIFunction, read } from "bun:ffi";
import { Errno } from "../base/errno.ts";
import { type Address, cString } from "./shim.ts";

/** sonames of libqb 2.x and of 1.x/0.17, as Debian and others ship them. */
const SONAMES = ["libqb.so.100", "libqb.so.0"];

const SYMBOLS = {
  qb_ipcc_connect: { args: ["buffer", "i64_fast"], returns: "i64_fast" },
  qb_ipcc_disconnect: { args: ["i64_fast"], returns: "void" },
  qb_ipcc_send: { args: ["i64_fast", "buffer", "i64_fast"], returns: "i64_fast" },
  qb_ipcc_recv: { args: ["i64_fast", "buffer", "i64_fast", "i32"], returns: "i64_fast" },
  qb_ipcc_event_recv: { args: ["i64_fast", "buffer", "i64_fast", "i32"], returns: "i64_fast" },
  qb_ipcc_is_connected: { args: ["i64_fast"], returns: "i32" },
  qb_ipcc_fc_enable_max_set: { args: ["i64_fast", "u32"], returns: "i32" },
} as const;

const LIBC = { __errno_location: { args: [], returns: "i64_fast" } } as const;

type Argument<T> = T extends "buffer" ? Uint8Array : number;
type Arguments<T> = { -readonly [I in keyof T]: Argument<T[I]> };

/** As in shim.ts, an i64 is an address or a size below 2^53, so a number. */
type Typed<S extends Record<string, { readonly args: readonly string[] }>> = {
  readonly [K in keyof S]: (...values: Arguments<S[K]["args"]>) => number;
};

type Library = Typed<typeof SYMBOLS>;

function open<S extends Record<string, { readonly args: readonly string[] }>>(
  soname: string,
  symbols: S,
): Typed<S> {
  const opened = dlopen(soname, symbols as unknown as Record<string, FFIFunction>);
  return opened.symbols as unknown as Typed<S>;
}

/** One connection made by libqb. */
export class LibqbConnection {
  readonly #library: Library;
  readonly #connection: Address;

  constructor(library: Library, connection: Address) {
    this.#library = library;
    this.#connection = connection;
  }

  get connected(): boolean {
    return this.#library.qb_ipcc_is_connected(this.#connection) !== 0;
  }

  /** Bytes sent, or a negative errno. `message` begins with a request header. */
  send(message: Uint8Array): number {
    return this.#library.qb_ipcc_send(this.#connection, message, message.byteLength);
  }

  /** Bytes received into `buffer`, or a negative errno; `timeoutMs` -1 waits forever. */
  receive(buffer: Uint8Array, timeoutMs: number): number {
    return this.#library.qb_ipcc_recv(this.#connection, buffer, buffer.byteLength, timeoutMs);
  }

  receiveEvent(buffer: Uint8Array, timeoutMs: number): number {
    return this.#library.qb_ipcc_event_recv(this.#connection, buffer, buffer.byteLength, timeoutMs);
  }

  /** Agrees to be stopped by flow control levels up to `level`. */
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
  readonly #errnoLocation: () => Address;

  private constructor(soname: string, library: Library, errnoLocation: () => Address) {
    this.soname = soname;
    this.#library = library;
    this.#errnoLocation = errnoLocation;
  }

  /** The host's libqb; undefined when there is none. */
  static load(): Libqb | undefined {
    for (const soname of SONAMES) {
      try {
        const library = open(soname, SYMBOLS);
        return new Libqb(soname, library, open("libc.so.6", LIBC).__errno_location);
      } catch {
        // Not installed under this name.
      }
    }
    return undefined;
  }

  /** Connects, without a timeout; a negative errno when that failed. */
  connect(name: string, maxMessageBytes: number): LibqbConnection | number {
    const connection = this.#library.qb_ipcc_connect(cString(name), maxMessageBytes);
    if (connection !== 0) return new LibqbConnection(this.#library, connection);
    // pmxcfs refuses with +1, which libqb turns into errno -1: the result is then positive.
    const errno = read.i32(this.#errnoLocation(), 0);
    return errno === 0 ? Errno.EIO : -errno;
  }
}
