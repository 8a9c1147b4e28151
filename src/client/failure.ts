/**
 * Why a client's call failed, as a value: the kind of fault, the errno that a libqb client would
 * get, and one line of text. An errno in the server's answer is not a failure of the transport; the
 * typed calls return it as an Errno.
 */
import { Errno, errnoName, errnoText } from "../base/errno.ts";

/**
 * - `absent`: no process listens on the name.
 * - `refused`: the server answered the set-up with an errno.
 * - `timeout`: nothing came within the deadline: the server hangs, is stopped, or is too slow.
 * - `garbage`: the server sent something that no libqb server sends.
 * - `files`: the ring files cannot be opened or mapped, or are not sane.
 * - `disconnected`: the connection ended, or the server went away.
 * - `vanished`: the server truncated the ring files under us.
 * - `busy`: flow control, a full request ring, or owed notify bytes: the server does not keep up.
 * - `size`: the request is too large for the connection, or the service name is not 1 to 107 bytes.
 */
export type QbFailureKind =
  | "absent"
  | "refused"
  | "timeout"
  | "garbage"
  | "files"
  | "disconnected"
  | "vanished"
  | "busy"
  | "size";

/** A failed call; distinguished from a result by `instanceof`. */
export class QbFailure {
  readonly kind: QbFailureKind;
  /** What errno(3) would be after the same call of libqb. */
  readonly errno: Errno;
  /** One line for people, without the errno's name. */
  readonly message: string;

  constructor(kind: QbFailureKind, errno: Errno, message: string) {
    this.kind = kind;
    this.errno = errno;
    this.message = message;
  }

  /** True when the connection cannot be used any more. */
  get ended(): boolean {
    return this.kind !== "timeout" && this.kind !== "busy" && this.kind !== "size";
  }

  /** `ECONNREFUSED (Connection refused): no process listens on @pve2`. */
  toString(): string {
    return `${errnoName(this.errno)} (${errnoText(this.errno)}): ${this.message}`;
  }
}

/** The connection ended; `detail` says how that was noticed. */
export function disconnected(detail: string): QbFailure {
  return new QbFailure("disconnected", Errno.ENOTCONN, detail);
}

/** The server sent something that no libqb server sends. */
export function garbage(detail: string): QbFailure {
  return new QbFailure("garbage", Errno.EBADMSG, detail);
}

/** A ring file was truncated under us. */
export function vanished(): QbFailure {
  return new QbFailure("vanished", Errno.ENOTCONN, "the server truncated the ring files");
}

/** Nothing came in time; `missing` says what, such as `no response`. */
export function timedOut(missing: string, timeoutMs: number): QbFailure {
  return new QbFailure("timeout", Errno.ETIMEDOUT, `${missing} within ${Math.round(timeoutMs)} ms`);
}

/** A call on a client after its `close`. */
export const CLOSED = disconnected("this client is closed");

/** The server set flow control to a level that stops us. */
export function stopped(level: number): QbFailure {
  return new QbFailure("busy", Errno.EAGAIN, `the server asked to wait (flow control ${level})`);
}

/** The server has not read the notify bytes of earlier requests. */
export function owing(bytes: number): QbFailure {
  const message = `the server has not read ${bytes} notify bytes of earlier requests`;
  return new QbFailure("busy", Errno.EAGAIN, message);
}

/** The server does not read what is in the request ring. */
export function ringFull(): QbFailure {
  return new QbFailure("busy", Errno.EAGAIN, "the request ring is full");
}

/** A request of `size` bytes on a connection for at most `most`. */
export function tooLarge(size: number, most: number): QbFailure {
  const message = `a request of ${size} bytes; this connection takes ${most}`;
  return new QbFailure("size", Errno.EMSGSIZE, message);
}
