/**
 * One accepted setup socket: first the handshake, with a deadline, then notify bytes and the hang-
 * up of its connection (WIRE.md 2, 5). Owns the descriptor, through Bun's socket.
 */
import type { Socket } from "bun";
import type { Errno } from "../../base/errno.ts";
import { type Credentials, receiveBytes } from "../../platform/socket.ts";
import { ConnectionRequest } from "../../wire/qb.ts";
import type { Connection, Wire } from "../connection/connection.ts";
import { GreetingReader } from "./handshake.ts";
import type { Permissions } from "../handler.ts";

/** The service's side of a handshake. */
export interface Door {
  /**
   * A whole set-up request: refuses the socket, or has it `become` a connection, now or when
   * others had their turn.
   */
  greet(socket: SetupSocket): void;
  /** It ended before it became a connection. */
  gone(socket: SetupSocket, why: string): void;
  /** Notify bytes came on a connection. */
  woken(connection: Connection): void;
}

/** What is sent to announce events: the bytes' values mean nothing. */
const NOTIFY_BYTES = new Uint8Array(1024);

export class SetupSocket implements Wire {
  readonly peer: Credentials;
  /** What the handler said of the peer. */
  readonly verdict: Permissions | Errno;
  readonly #socket: Socket<SetupSocket>;
  readonly #door: Door;
  /** Its descriptor, a part of the ring directory's name. */
  readonly fd: number;
  #deadline: Timer | undefined;
  #greeting: GreetingReader | undefined = new GreetingReader();
  #connection: Connection | undefined;
  /** Largest message its client asked for, known once the set-up request is whole. */
  #askedBytes = 0;
  /** Bytes that came behind the set-up request, before there was a connection. */
  #early = 0;
  /** The part of a handshake answer that did not fit the socket yet. */
  #unsent: Uint8Array | undefined;
  #closed = false;

  constructor(
    socket: Socket<SetupSocket>,
    fd: number,
    peer: Credentials,
    verdict: Permissions | Errno,
    door: Door,
  ) {
    this.#socket = socket;
    this.fd = fd;
    this.peer = peer;
    this.verdict = verdict;
    this.#door = door;
  }

  get askedBytes(): number {
    return this.#askedBytes;
  }

  /** True while its set-up request is not whole. */
  get greeting(): boolean {
    return this.#greeting !== undefined;
  }

  /**
   * Reads what is there already: clients send their request right behind connect(2), and taking
   * it now saves a turn of the loop and a timer.
   */
  begin(): void {
    const first = Buffer.allocUnsafe(ConnectionRequest.size);
    const received = receiveBytes(this.fd, first);
    if (received > 0) this.data(first.subarray(0, received));
  }

  /** Waits for the rest of the set-up request, but not for ever. */
  awaitGreeting(timeoutMs: number): void {
    this.#deadline = setTimeout(() => this.drop(`not whole within ${timeoutMs} ms`), timeoutMs);
    this.#deadline.unref();
  }

  /** Bytes arrived. */
  data(bytes: Uint8Array): void {
    if (this.#connection !== undefined) {
      this.#door.woken(this.#connection);
      return;
    }
    const greeting = this.#greeting?.take(bytes);
    if (greeting === undefined) this.#early += bytes.byteLength;
    if (greeting === undefined || greeting.kind === "incomplete") return;
    clearTimeout(this.#deadline);
    this.#greeting = undefined;
    if (greeting.kind === "wrong") {
      this.drop(greeting.why);
      return;
    }
    this.#askedBytes = greeting.maxMessageBytes;
    this.#early = greeting.rest;
    this.#door.greet(this);
  }

  /** Accepted: from now on its bytes are those of `connection`. */
  become(connection: Connection): void {
    this.#connection = connection;
    if (this.#early > 0) this.#door.woken(connection);
  }

  /** Sends the answer to the handshake. */
  answer(bytes: Uint8Array): void {
    const sent = this.#socket.write(bytes);
    if (sent < bytes.byteLength) this.#unsent = bytes.subarray(Math.max(0, sent));
  }

  /** Sends a refusal and hangs up behind it. */
  refuse(bytes: Uint8Array): void {
    this.answer(bytes);
    this.#closed = true;
    this.#socket.end();
  }

  /** The socket has room again. */
  drain(): void {
    if (this.#unsent !== undefined) {
      const rest = this.#unsent;
      this.#unsent = undefined;
      this.answer(rest);
      return;
    }
    this.#connection?.flushNotifies();
  }

  notify(count: number): number {
    if (this.#closed || this.#unsent !== undefined) return 0;
    const sent = this.#socket.write(NOTIFY_BYTES.subarray(0, count));
    return Math.max(0, sent);
  }

  /** Gives up on a handshake. */
  drop(why: string): void {
    if (this.#closed || this.#connection !== undefined) return;
    this.close();
    this.#door.gone(this, why);
  }

  close(): void {
    clearTimeout(this.#deadline);
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.terminate();
  }

  /** The other end has closed. */
  hungUp(): void {
    clearTimeout(this.#deadline);
    const first = !this.#closed;
    this.#closed = true;
    if (this.#connection !== undefined) this.#connection.hungUp();
    else if (first) this.#door.gone(this, "hung up during the handshake");
  }
}
