/**
 * A minimal libqb server in this process, with one optional fault, for tests of clients and of the
 * compatibility runner. Answers each request with its own id and body.
 */
import { RingReader, RingWriter, newScratch } from "../../src/shm/ring.ts";
import { RingDirectory, SHM } from "../../src/shm/ring-directory.ts";
import { ringDataBytes, setFlowControl } from "../../src/shm/ring-set.ts";
import { closeDescriptor, Directory } from "../../src/platform/files.ts";
import { listenOn, peerCredentials } from "../../src/platform/socket.ts";
import {
  ConnectionRequest,
  ConnectionResponse,
  QB_IPC_SHM,
  QbMessage,
  RequestHeader,
  ResponseHeader,
} from "../../src/wire/qb.ts";
import { newSpan, spanOf, type Span } from "../../src/wire/struct.ts";

/** The fault of a server; default: none. */
export interface Fault {
  /** Accepts the connection and never sends anything. */
  readonly silent?: boolean;
  /** Closes as soon as the client has sent its set-up request. */
  readonly hangUp?: boolean;
  /** Answers the set-up with these bytes. */
  readonly rawAnswer?: Uint8Array;
  /** Changes the set-up answer before it is sent. */
  readonly answer?: (span: Span) => void;
  /** Changes the ring files after they are made, before the answer is sent. */
  readonly files?: (rings: RingDirectory) => void;
  /** Reads the ring, but never the setup socket. */
  readonly neverReadsNotifies?: boolean;
  /** Changes each response's header. */
  readonly response?: (span: Span) => void;
  /** Changes each response's body; the header has the new size. */
  readonly body?: (body: Buffer) => Buffer;
  /** Called for each request instead of answering it. */
  readonly instead?: (connection: FakeConnection) => void;
  /** Sends each answer this many times. */
  readonly copies?: number;
  /** Serves no client while one has a full response ring. */
  readonly waitsForReaders?: boolean;
}

interface Socket {
  write(bytes: Uint8Array): number;
  end(): void;
  pause(): void;
  readonly fd: number;
}

/** What the connections of a server share. */
interface Turn {
  /** The client that all others wait for. */
  waitsFor?: FakeConnection | undefined;
}

/** One client of the server. */
export class FakeConnection {
  readonly rings: RingDirectory;
  /** Number of notify bytes at each wake-up of this server. */
  readonly wakeUps: number[] = [];
  readonly #requests: RingReader;
  readonly #responses: RingWriter;
  readonly #events: RingWriter;
  readonly #fault: Fault;
  readonly #socket: Socket;
  readonly #turn: Turn;
  readonly #scratch;
  #closed = false;

  constructor(rings: RingDirectory, socket: Socket, fault: Fault, turn: Turn) {
    this.rings = rings;
    this.#socket = socket;
    this.#fault = fault;
    this.#turn = turn;
    this.#scratch = newScratch(rings.dataBytes);
    this.#requests = new RingReader(rings.set.rings.request, 0, rings.dataBytes);
    this.#responses = new RingWriter(rings.set.rings.response);
    this.#events = new RingWriter(rings.set.rings.event);
    if (fault.neverReadsNotifies !== true) return;
    socket.pause();
    this.#poll();
  }

  /** Reads only the ring, once per turn of the event loop. */
  #poll(): void {
    if (this.#closed) return;
    this.drain();
    setImmediate(() => this.#poll());
  }

  drain(): void {
    while (!this.#closed && this.#turn.waitsFor === undefined) {
      const size = this.#requests.peek();
      if (size <= 0) return;
      this.#requests.copyTo(this.#scratch);
      this.#requests.reclaim();
      const id = RequestHeader.read.id(spanOf(this.#scratch.bytes));
      if (id === QbMessage.DISCONNECT) this.#socket.end();
      else if (this.#fault.instead !== undefined) this.#fault.instead(this);
      else this.respond(id, Buffer.from(this.#scratch.bytes.subarray(RequestHeader.size, size)));
    }
  }

  respond(id: number, asked: Uint8Array): void {
    const body = this.#fault.body?.(Buffer.from(asked)) ?? asked;
    const header = newSpan(ResponseHeader.size);
    ResponseHeader.write.id(header, id);
    ResponseHeader.write.size(header, ResponseHeader.size + body.byteLength);
    this.#fault.response?.(header);
    for (let copy = 0; copy < (this.#fault.copies ?? 1); copy++) {
      this.write(Buffer.concat([header.bytes, body]));
    }
  }

  /** Writes arbitrary bytes into the response ring. */
  write(message: Uint8Array): void {
    const at = this.#responses.allocChunk(message.byteLength);
    if (at < 0 && this.#fault.waitsForReaders === true) {
      this.#turn.waitsFor = this;
      return;
    }
    if (at < 0) throw new Error(`no room in the response ring (${at})`);
    this.rings.set.rings.response.bytes.set(message, at);
    this.#responses.commit();
  }

  sendEvent(id: number, body: Uint8Array): void {
    const header = newSpan(ResponseHeader.size);
    ResponseHeader.write.id(header, id);
    ResponseHeader.write.size(header, ResponseHeader.size + body.byteLength);
    const at = this.#events.allocChunk(ResponseHeader.size + body.byteLength);
    this.rings.set.rings.event.bytes.set(Buffer.concat([header.bytes, body]), at);
    this.#events.commit();
    this.#socket.write(new Uint8Array(1));
  }

  setFlowControl(level: number): void {
    setFlowControl(this.rings.set.rings.request, level);
  }

  hangUp(): void {
    this.#socket.end();
  }

  close(): void {
    this.#closed = true;
    if (this.#turn.waitsFor === this) this.#turn.waitsFor = undefined;
    this.rings[Symbol.dispose]();
  }
}

/** Listens on `name` until disposed. */
export class FakeServer implements Disposable {
  readonly name: string;
  readonly connections = new Set<FakeConnection>();
  readonly #fault: Fault;
  readonly #turn: Turn = {};
  readonly #shm = Directory.open(SHM) as Directory;
  readonly #listener: { stop(closeActive?: boolean): void };
  readonly #fd: number;

  constructor(name: string, fault: Fault = {}) {
    this.name = name;
    this.#fault = fault;
    this.#fd = listenOn(name, 16);
    if (this.#fd < 0) throw new Error(`cannot listen on ${name} (${this.#fd})`);
    const options = {
      fd: this.#fd,
      socket: {
        open: (socket: { data: unknown }) => {
          socket.data = undefined;
        },
        data: (socket: Socket & { data: unknown }, bytes: Buffer) => {
          if (socket.data instanceof FakeConnection) {
            socket.data.wakeUps.push(bytes.byteLength);
            socket.data.drain();
          } else socket.data = this.#setUp(socket, bytes);
        },
        close: (socket: { data: unknown }) => this.#closed(socket.data),
      },
    };
    this.#listener = Bun.listen(options as unknown as Parameters<typeof Bun.listen>[0]);
  }

  #setUp(socket: Socket, bytes: Buffer): FakeConnection | undefined {
    const { silent, hangUp, rawAnswer, answer, files } = this.#fault;
    if (silent === true) return undefined;
    if (hangUp === true) {
      socket.end();
      return undefined;
    }
    if (rawAnswer !== undefined) {
      socket.write(rawAnswer);
      return undefined;
    }
    const maxMessageBytes = ConnectionRequest.read.maxMessageBytes(spanOf(bytes));
    const rings = RingDirectory.make(this.#shm, this.name, ringDataBytes(maxMessageBytes));
    if (typeof rings === "number") throw new Error(`no rings (${rings})`);
    const peer = peerCredentials(socket.fd);
    if (typeof peer === "number") throw new Error("no peer");
    rings.giveTo(peer, socket.fd);
    files?.(rings);
    const span = newSpan(ConnectionResponse.size);
    const { write } = ConnectionResponse;
    write.id(span, QbMessage.AUTHENTICATE);
    write.size(span, ConnectionResponse.size);
    write.connectionType(span, QB_IPC_SHM);
    write.maxMessageBytes(span, maxMessageBytes);
    write.request(span, rings.prefix("request"));
    write.response(span, rings.prefix("response"));
    write.event(span, rings.prefix("event"));
    answer?.(span);
    socket.write(span.bytes);
    const connection = new FakeConnection(rings, socket, this.#fault, this.#turn);
    this.connections.add(connection);
    return connection;
  }

  #closed(connection: unknown): void {
    if (!(connection instanceof FakeConnection)) return;
    this.connections.delete(connection);
    connection.close();
  }

  [Symbol.dispose](): void {
    this.#listener.stop(true);
    for (const connection of this.connections) connection.close();
    this.connections.clear();
    this.#shm[Symbol.dispose]();
    closeDescriptor(this.#fd);
  }
}
