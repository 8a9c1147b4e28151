/**
 * One accepted setup socket and the state of its peer (libqb ipc_setup.c). It carries the set-up
 * request, with its sender's credentials and a deadline, then the answer, then notify bytes, and
 * reports the end of the connection. Owns the descriptor.
 *
 *   hello      the set-up request is not complete
 *   queued     accepted and counted; waits for its turn to get rings
 *   admitted   has rings and a connection; the answer is being sent
 *   connected  the answer is sent; further bytes are notify bytes
 *   closing    refused, ended, or closed; further bytes are ignored
 */
import { Errno } from "../../base/errno.ts";
import { Ready } from "../../platform/epoll.ts";
import {
  closeSocket,
  type Credentials,
  receiveFrom,
  sendBytes,
  stopCredentials,
} from "../../platform/socket.ts";
import { ConnectionRequest } from "../../wire/qb.ts";
import type { Connection, SetupChannel } from "../connection/connection.ts";
import { SetupRequestReader } from "./handshake.ts";
import type { SocketEvents, SocketLoop } from "./socket-loop.ts";

export type PeerState = "hello" | "queued" | "admitted" | "connected" | "closing";

/** The states that may follow each state. */
const FOLLOWING: Readonly<Record<PeerState, readonly PeerState[]>> = {
  hello: ["queued", "closing"],
  queued: ["admitted", "closing"],
  admitted: ["connected", "closing"],
  connected: ["closing"],
  closing: [],
};

/** The service's side of a handshake. */
export interface HandshakeEvents {
  /** The set-up request is complete: `refuse` it, or `queue` it and `admit` it in its turn. */
  onSetupRequest(socket: SetupSocket): void;
  /** The handshake ended without a connection. */
  onHandshakeEnd(socket: SetupSocket, why: string): void;
  /** Notify bytes came on a connection. */
  onNotify(connection: Connection): void;
}

/** Notify bytes, which announce events; their values have no meaning. */
const NOTIFY_BYTES = new Uint8Array(1024);

/** Time for sending a refusal for which the socket has no room at once. */
const REFUSAL_MS = 1000;

/** Buffer for reading set-up requests: 24 bytes, or the missing part of them. */
const arriving = Buffer.alloc(ConnectionRequest.size);

export class SetupSocket implements SetupChannel, SocketEvents {
  readonly fd: number;
  /** The peer's effective ids at connect(2), with which it opens files. */
  readonly connectIds: Credentials;
  readonly #loop: SocketLoop;
  readonly #events: HandshakeEvents;
  readonly #request = new SetupRequestReader();
  #state: PeerState = "hello";
  #token: number | undefined;
  #sender: Credentials | undefined;
  #deadline: Timer | undefined;
  #connection: Connection | undefined;
  /** Notify bytes are unsent because the socket is full; it is watched for room. */
  #unsentNotifies = false;
  /** The part of the answer for which the socket had no room yet. */
  #unsent: Uint8Array | undefined;
  /** The peer has shut down its reading end: nothing can be sent any more. */
  #deaf = false;
  #closed = false;

  constructor(fd: number, connectIds: Credentials, loop: SocketLoop, events: HandshakeEvents) {
    this.fd = fd;
    this.connectIds = connectIds;
    this.#loop = loop;
    this.#events = events;
  }

  get state(): PeerState {
    return this.#state;
  }

  /** The real ids of the set-up request's sender, as in libqb; before that, `connectIds`. */
  get peer(): Credentials {
    return this.#sender ?? this.connectIds;
  }

  /** Message size that the client asked for; known once the set-up request is complete. */
  get askedBytes(): number {
    return this.#request.maxMessageBytes;
  }

  /** Changes the state; only this method does. */
  #enter(state: PeerState): void {
    if (!FOLLOWING[this.#state].includes(state)) {
      throw new Error(`a peer does not go from "${this.#state}" to "${state}"`);
    }
    this.#state = state;
    if (state !== "hello") clearTimeout(this.#deadline);
  }

  /**
   * Watches the socket, and reads what has arrived: clients send their set-up request directly
   * after connect(2). Throws if epoll_ctl(2) fails: only here, where the peer has no rings yet.
   */
  begin(): void {
    const token = this.#loop.add(this.fd, this);
    if (token < 0) throw new Error(`epoll_ctl failed (errno ${-token})`);
    this.#token = token;
    this.#readRequest();
    if (this.#state === "queued") this.#watch(0, false);
  }

  /** Limits the time until the set-up request is complete. */
  setDeadline(timeoutMs: number): void {
    this.#deadline = setTimeout(() => this.drop(`not whole within ${timeoutMs} ms`), timeoutMs);
    this.#deadline.unref();
  }

  /** Reads only the set-up request: the bytes after it are notify bytes, and stay in the socket. */
  #readRequest(): void {
    while (this.#state === "hello") {
      const part = arriving.subarray(0, this.#request.missing);
      const { received, from } = receiveFrom(this.fd, part);
      if (received === Errno.EAGAIN || received === Errno.EINTR) return;
      if (received <= 0) {
        this.#lost();
        return;
      }
      this.#take(part.subarray(0, received), from);
    }
  }

  #take(bytes: Uint8Array, from: Credentials | undefined): void {
    const before = this.#sender;
    if (from === undefined || (before !== undefined && !isSame(from, before))) {
      this.drop("its sender changed within the set-up request, or is unknown");
      return;
    }
    this.#sender = from;
    const wrong = this.#request.take(bytes);
    if (wrong !== undefined) this.drop(wrong);
    else if (this.#request.missing === 0) this.#events.onSetupRequest(this);
  }

  /** The peer is accepted and waits for its turn to get rings. */
  queue(): void {
    this.#enter("queued");
  }

  /**
   * The peer has rings: sends the answer, which may change afterwards; further bytes belong to
   * `connection`.
   */
  admit(connection: Connection, answer: Uint8Array): void {
    this.#enter("admitted");
    this.#connection = connection;
    stopCredentials(this.fd);
    this.#send(answer);
  }

  /** Sends a refusal, which may change afterwards, and closes. */
  refuse(answer: Uint8Array): void {
    this.#enter("closing");
    this.#send(answer);
    if (this.#unsent === undefined) this.close();
    else this.#deadline = setTimeout(() => this.close(), REFUSAL_MS);
  }

  /**
   * Sends what there is room for; returns the number of bytes. If the peer does not read any more,
   * the socket always has room and reports no end: this ends it, but only after the caller is done,
   * who may be about to announce the connection.
   */
  #sendSome(bytes: Uint8Array): number {
    const sent = sendBytes(this.fd, bytes);
    if (sent >= 0) return sent;
    if (sent !== Errno.EAGAIN && sent !== Errno.EINTR) {
      this.#deaf = true;
      queueMicrotask(() => this.#lost());
    }
    return 0;
  }

  #send(bytes: Uint8Array): void {
    const sent = this.#sendSome(bytes);
    if (this.#deaf) {
      this.#unsent = undefined;
      return;
    }
    if (sent < bytes.byteLength) {
      // Copied: the next answer is made in the same memory.
      this.#unsent = new Uint8Array(bytes.subarray(sent));
      this.#watch(Ready.WRITE, false);
      return;
    }
    this.#unsent = undefined;
    if (this.#state !== "admitted") return;
    this.#enter("connected");
    this.#watch(Ready.READ, true);
  }

  #watch(interest: number, drained: boolean): void {
    if (this.#closed || this.#token === undefined) return;
    this.#loop.change(this.fd, this.#token, interest, drained);
  }

  setQuiet(isQuiet: boolean): void {
    if (this.#state !== "connected" || this.#unsentNotifies) return;
    this.#watch(isQuiet ? 0 : Ready.READ, true);
  }

  onReadable(): void {
    if (this.#state === "hello") {
      this.#readRequest();
      // A queued peer waits for its turn: bytes it sends meanwhile are read when it has rings.
      if (this.state === "queued") this.#watch(0, false);
    } else if (this.#state !== "connected") {
      // Not watched for reading in these states: only the end of the stream is reported.
      this.#lost();
    } else if (this.#connection !== undefined) {
      this.#events.onNotify(this.#connection);
    }
  }

  onWritable(): void {
    if (this.#unsent !== undefined) {
      this.#send(this.#unsent);
      if (this.#state === "closing" && this.#unsent === undefined) this.close();
      // Events were sent before the answer was.
      if (this.#state === "connected") this.#connection?.flushNotifies();
      return;
    }
    if (this.#state !== "connected") return;
    this.#unsentNotifies = false;
    this.#watch(Ready.READ, true);
    this.#connection?.flushNotifies();
  }

  onHangUp(): void {
    this.#lost();
  }

  onFailure(error: unknown): void {
    if (this.#connection === undefined) this.drop(`failed: ${String(error)}`);
    else this.#connection.fail("handling its socket", error);
  }

  notify(count: number): number {
    if (this.#state !== "connected" || this.#deaf) return 0;
    const sent = this.#sendSome(NOTIFY_BYTES.subarray(0, count));
    if (sent < count && !this.#deaf && !this.#unsentNotifies) {
      this.#unsentNotifies = true;
      this.#watch(Ready.READ | Ready.WRITE, true);
    }
    return sent;
  }

  /** Aborts the handshake; does nothing once there is a connection. */
  drop(why: string): void {
    if (this.#closed || this.#connection !== undefined) return;
    this.close();
    this.#events.onHandshakeEnd(this, why);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#deadline);
    if (this.#state !== "closing") this.#enter("closing");
    if (this.#token !== undefined) this.#loop.remove(this.fd, this.#token);
    closeSocket(this.fd);
  }

  /** The peer has closed the socket. */
  #lost(): void {
    if (this.#closed) return;
    if (this.#connection !== undefined) this.#connection.hungUp();
    else if (this.#state === "closing") this.close();
    else this.drop("hung up during the handshake");
  }
}

function isSame(one: Credentials, other: Credentials): boolean {
  return one.pid === other.pid && one.uid === other.uid && one.gid === other.gid;
}
