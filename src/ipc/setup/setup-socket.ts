/**
 * One accepted setup socket and the state of its peer (libqb ipc_setup.c): the set-up request with
 * its sender's credentials and a deadline, the answer, then notify bytes and the end of the
 * connection. Owns the descriptor.
 *
 *   hello      the set-up request is not whole
 *   queued     accepted and counted; waits for its turn to get rings
 *   admitted   has rings and a connection; the answer is being sent
 *   connected  the answer is sent: what comes is notify bytes
 *   closing    refused, ended, or closed: nothing that comes counts any more
 */
import { Errno } from "../../base/errno.ts";
import { Ready } from "../../platform/epoll.ts";
import { closeDescriptor } from "../../platform/files.ts";
import {
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

/** The states that may follow each. */
const FOLLOWING: Readonly<Record<PeerState, readonly PeerState[]>> = {
  hello: ["queued", "closing"],
  queued: ["admitted", "closing"],
  admitted: ["connected", "closing"],
  connected: ["closing"],
  closing: [],
};

/** The service's side of a handshake. */
export interface HandshakeEvents {
  /** The set-up request is whole: refuse it, or `queue` it and `admit` it when its turn comes. */
  onSetupRequest(socket: SetupSocket): void;
  /** It ended before there was a connection. */
  onHandshakeEnd(socket: SetupSocket, why: string): void;
  /** Notify bytes came on a connection. */
  onNotify(connection: Connection): void;
}

/** What is sent to announce events: the bytes' values mean nothing. */
const NOTIFY_BYTES = new Uint8Array(1024);

/** A refusal that the socket did not take at once has this long. */
const REFUSAL_MS = 1000;

/** Set-up requests are read here: 24 bytes, or what is missing of them. */
const arriving = Buffer.alloc(ConnectionRequest.size);

export class SetupSocket implements SetupChannel, SocketEvents {
  readonly fd: number;
  /** Its ids at connect(2), the effective ones: those it opens files with. */
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
  /** The part of an answer that did not fit the socket yet. */
  #unsent: Uint8Array | undefined;
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

  /** Who sent the set-up request, by real ids, as libqb judges it; before that, `connectIds`. */
  get peer(): Credentials {
    return this.#sender ?? this.connectIds;
  }

  /** Largest message its client asked for, known once the set-up request is whole. */
  get askedBytes(): number {
    return this.#request.maxMessageBytes;
  }

  /** The one place where a peer's state changes. */
  #enter(state: PeerState): void {
    if (!FOLLOWING[this.#state].includes(state)) {
      throw new Error(`a peer does not go from "${this.#state}" to "${state}"`);
    }
    this.#state = state;
    if (state !== "hello") clearTimeout(this.#deadline);
  }

  /** Reads what is there already: clients send their set-up request right after connect(2). */
  begin(): void {
    this.#readRequest();
    if (this.#state === "hello" && !this.#closed) this.#watch(Ready.READ, false);
    if (this.#state === "queued") this.#watch(0, false);
  }

  /** The rest of the set-up request has so long to come. */
  setDeadline(timeoutMs: number): void {
    this.#deadline = setTimeout(() => this.drop(`not whole within ${timeoutMs} ms`), timeoutMs);
    this.#deadline.unref();
  }

  /** Bytes of the set-up request only: what follows are notify bytes, and stays where it is. */
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

  /** Accepted, and waiting for its turn to get rings. */
  queue(): void {
    this.#enter("queued");
  }

  /** Has rings: sends the answer; from then on its bytes are those of `connection`. */
  admit(connection: Connection, answer: Uint8Array): void {
    this.#enter("admitted");
    this.#connection = connection;
    stopCredentials(this.fd);
    this.#send(answer);
  }

  /** Sends a refusal and closes. */
  refuse(answer: Uint8Array): void {
    this.#enter("closing");
    this.#send(answer);
    if (this.#unsent === undefined) this.close();
    else this.#deadline = setTimeout(() => this.close(), REFUSAL_MS);
  }

  #send(bytes: Uint8Array): void {
    const sent = Math.max(0, sendBytes(this.fd, bytes));
    if (sent < bytes.byteLength) {
      this.#unsent = bytes.subarray(sent);
      this.#watch(Ready.WRITE, false);
      return;
    }
    this.#unsent = undefined;
    if (this.#state !== "admitted") return;
    this.#enter("connected");
    this.#watch(Ready.READ, true);
  }

  #watch(interest: number, drained: boolean): void {
    if (this.#closed) return;
    if (this.#token === undefined) {
      const token = this.#loop.add(this.fd, this);
      if (token < 0) throw new Error(`epoll_ctl failed (errno ${-token})`);
      this.#token = token;
      if (interest === Ready.READ && !drained) return;
    }
    this.#loop.change(this.fd, this.#token, interest, drained);
  }

  setQuiet(isQuiet: boolean): void {
    if (this.#state !== "connected" || this.#unsentNotifies) return;
    this.#watch(isQuiet ? 0 : Ready.READ, true);
  }

  onReadable(): void {
    if (this.#state === "hello") this.#readRequest();
    else if (this.#state !== "connected") this.#lost();
    else if (this.#connection !== undefined) this.#events.onNotify(this.#connection);
    // Waits for its turn: what it sends meanwhile is read when it has rings.
    if (this.#state === "queued") this.#watch(0, false);
  }

  onWritable(): void {
    if (this.#unsent !== undefined) {
      this.#send(this.#unsent);
      if (this.#state === "closing" && this.#unsent === undefined) this.close();
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
    if (this.#state !== "connected") return 0;
    const sent = Math.max(0, sendBytes(this.fd, NOTIFY_BYTES.subarray(0, count)));
    if (sent < count && !this.#unsentNotifies) {
      this.#unsentNotifies = true;
      this.#watch(Ready.READ | Ready.WRITE, true);
    }
    return sent;
  }

  /** Gives up on a handshake. */
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
    closeDescriptor(this.fd);
  }

  /** The other end has closed. */
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
