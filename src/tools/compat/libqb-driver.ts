/** The host's libqb, controlled by the lines of protocol.ts. */
import { Errno } from "../../base/errno.ts";
import { Libqb, type LibqbConnection } from "../../platform/libqb.ts";
import { RequestHeader, ResponseHeader } from "../../wire/qb.ts";
import { spanOf } from "../../wire/struct.ts";
import { checksum, SHOWN_BYTES } from "./body.ts";
import { COUNTER_BYTES, type Answer, type Driver } from "./protocol.ts";

/** Buffer size for the largest message of a case. */
const BUFFER_BYTES = 8 * 1024 * 1024;

export class LibqbDriver implements Driver {
  readonly #libqb: Libqb;
  readonly #buffer = spanOf(Buffer.alloc(BUFFER_BYTES));
  #connection: LibqbConnection | undefined;

  private constructor(libqb: Libqb) {
    this.#libqb = libqb;
  }

  /** Undefined if the host has no libqb. */
  static load(): LibqbDriver | undefined {
    const libqb = Libqb.load();
    return libqb === undefined ? undefined : new LibqbDriver(libqb);
  }

  connect(name: string, size: number): Answer {
    const connection = this.#libqb.connect(name, size);
    if (typeof connection === "number") return { res: connection };
    this.#connection = connection;
    return { res: 0 };
  }

  send(id: number, body: Buffer, claimed: number): Answer {
    const message = Buffer.alloc(RequestHeader.size + body.byteLength);
    const span = spanOf(message);
    RequestHeader.write.id(span, id);
    RequestHeader.write.size(span, claimed === 0 ? message.byteLength : claimed);
    body.copy(message, RequestHeader.size);
    return { res: this.#connection?.send(message) ?? Errno.ENOTCONN };
  }

  receive(timeoutMs: number): Answer {
    return this.#received(this.#connection?.receive(this.#buffer.bytes, timeoutMs));
  }

  event(timeoutMs: number): Answer {
    return this.#received(this.#connection?.receiveEvent(this.#buffer.bytes, timeoutMs));
  }

  #received(size: number = Errno.ENOTCONN): Answer {
    if (size < RequestHeader.size) return { res: size < 0 ? size : Errno.EBADMSG };
    const long = size >= ResponseHeader.size;
    const body = this.#buffer.bytes.subarray(long ? ResponseHeader.size : RequestHeader.size, size);
    return {
      res: size,
      id: RequestHeader.read.id(this.#buffer),
      size: RequestHeader.read.size(this.#buffer),
      error: long ? ResponseHeader.read.error(this.#buffer) : 0,
      length: body.byteLength,
      sum: checksum(body),
      ...(body.byteLength <= SHOWN_BYTES ? { body: body.toString("hex") } : {}),
    };
  }

  pipeline(count: number, id: number, timeoutMs: number): Answer {
    const body = Buffer.alloc(COUNTER_BYTES);
    let sent = 0;
    let res = 0;
    for (; sent < count && res >= 0; sent++) {
      body.writeUInt32LE(sent);
      res = this.send(id, body, 0).res;
      if (res < 0) break;
    }
    const seen = { received: 0, misordered: 0, errors: 0 };
    while (seen.received < sent && res >= 0) {
      body.writeUInt32LE(seen.received);
      res = this.#next(id, body, timeoutMs, seen);
    }
    return { res: Math.min(res, 0), sent, ...seen };
  }

  repeat(count: number, id: number, body: Buffer, timeoutMs: number): Answer {
    const seen = { received: 0, misordered: 0, errors: 0 };
    let res = 0;
    while (seen.received < count && res >= 0) {
      res = this.send(id, body, 0).res;
      if (res >= 0) res = this.#next(id, body, timeoutMs, seen);
    }
    // Not counted: if the server left wake-up bytes unread, libqb would block in a send for ever.
    return { res: Math.min(res, 0), ...seen, unread: 0 };
  }

  /** Receives the answer to `body` and counts it; the result of the call. */
  #next(
    id: number,
    body: Buffer,
    timeoutMs: number,
    seen: { received: number; misordered: number; errors: number },
  ): number {
    const { bytes } = this.#buffer;
    const size = this.#connection?.receive(bytes, timeoutMs) ?? Errno.ENOTCONN;
    if (size < ResponseHeader.size) return size < 0 ? size : Errno.EBADMSG;
    seen.received++;
    if (ResponseHeader.read.error(this.#buffer) !== 0) seen.errors++;
    else if (!bytes.subarray(ResponseHeader.size, size).equals(body)) seen.misordered++;
    if (ResponseHeader.read.id(this.#buffer) !== id) seen.misordered++;
    return size;
  }

  flowControlMax(level: number): Answer {
    return { res: this.#connection?.setFlowControlMax(level) ?? Errno.ENOTCONN };
  }

  alive(): Answer {
    return { res: this.#connection?.connected === true ? 1 : 0 };
  }

  disconnect(): Answer {
    this.#connection?.close();
    this.#connection = undefined;
    return { res: 0 };
  }
}
