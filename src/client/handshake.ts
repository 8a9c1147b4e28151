/**
 * The client's half of the handshake (libqb ipc_setup.c, qb_ipcc_us_setup_connect):
 * connects, sends the set-up request and reads the answer, in steps that do not wait. The answer is
 * checked before any of it is used. Owns the setup socket until the set-up is accepted.
 */
import { Errno, errnoText } from "../base/errno.ts";
import { IpcLimits } from "../base/limits.ts";
import {
  closeSocket,
  connectAs,
  connectTo,
  maxNameBytes,
  peerCredentials,
  receiveBytes,
  sendBytes,
  sendBytesAs,
  type Credentials,
  type Identity,
} from "../platform/socket.ts";
import { ConnectionRequest, ConnectionResponse, QB_IPC_SHM, QbMessage } from "../wire/qb.ts";
import { newSpan, type Span } from "../wire/struct.ts";
import { disconnected, garbage, QbFailure, timedOut } from "./failure.ts";

/** A server may enforce larger messages than requested, up to this size. */
const MAX_ANSWERED_SIZE = 256 * 1024 * 1024;

/** Leading bytes of the answer that show whether it is one, and whether it accepts us. */
const VERDICT_BYTES = ConnectionResponse.offset.connectionType;

/** An accepted set-up; the receiver owns the descriptor. */
export interface Accepted {
  readonly fd: number;
  readonly server: Credentials;
  /** Our uid as the server sees it. */
  readonly uid: number;
  readonly maxMessageBytes: number;
  /** Ring name prefixes from the server, not checked yet. */
  readonly prefixes: Readonly<Record<"request" | "response" | "event", string>>;
}

/** The service to connect to, and the credentials it sees. */
export interface HandshakeOptions {
  readonly name: string;
  readonly maxMessageBytes: number;
  /** Default: our own credentials. */
  readonly identity: Identity | undefined;
}

/** One handshake; each `step` goes as far as possible without waiting. */
export class Handshake {
  readonly #invalidName: QbFailure | undefined;
  readonly #options: HandshakeOptions;
  readonly #request = newSpan(ConnectionRequest.size);
  readonly #answer = newSpan(ConnectionResponse.size);
  #fd = -1;
  #sent = 0;
  #received = 0;

  constructor(options: HandshakeOptions) {
    this.#invalidName = invalidName(options.name);
    this.#options = options;
    ConnectionRequest.write.id(this.#request, QbMessage.AUTHENTICATE);
    ConnectionRequest.write.size(this.#request, ConnectionRequest.size);
    ConnectionRequest.write.maxMessageBytes(this.#request, options.maxMessageBytes);
  }

  /** The result; undefined: call again later. An `Accepted` result owns the descriptor. */
  step(): Accepted | QbFailure | undefined {
    const failure = this.#invalidName ?? this.#connect() ?? this.#ask() ?? this.#readAnswer();
    if (failure === "later") return undefined;
    if (failure !== "complete") return failure;
    const uid = this.#options.identity?.uid ?? process.geteuid?.() ?? 0;
    return judge(this.#fd, uid, this.#answer);
  }

  /** The failure of a handshake that took longer than `timeoutMs`, by the step it reached. */
  late(timeoutMs: number): QbFailure {
    if (this.#fd < 0)
      return timedOut("the server does not accept: its backlog was full", timeoutMs);
    if (this.#received === 0) {
      return timedOut("the server accepted the connection but gave no answer", timeoutMs);
    }
    return new QbFailure(
      "timeout",
      Errno.ETIMEDOUT,
      `the server sent ${this.#received} of ${this.#answer.size} bytes of its answer and then nothing`,
    );
  }

  close(): void {
    if (this.#fd >= 0) closeSocket(this.#fd);
    this.#fd = -1;
  }

  #connect(): QbFailure | "later" | undefined {
    if (this.#fd >= 0) return undefined;
    const { name, identity } = this.#options;
    const result = identity === undefined ? connectTo(name) : connectAs(name, identity);
    if (result === Errno.EAGAIN) return "later";
    if (result >= 0) {
      this.#fd = result;
      return undefined;
    }
    const errno = result as Errno;
    if (errno === Errno.ECONNREFUSED || errno === Errno.ENOENT) {
      return new QbFailure("absent", errno, `no process listens on @${name}`);
    }
    return new QbFailure("files", errno, `cannot connect to @${name}`);
  }

  #ask(): QbFailure | "later" | undefined {
    const { identity } = this.#options;
    while (this.#sent < ConnectionRequest.size) {
      const rest = this.#request.bytes.subarray(this.#sent);
      const result =
        identity === undefined ? sendBytes(this.#fd, rest) : sendBytesAs(this.#fd, rest, identity);
      if (result === Errno.EAGAIN) return "later";
      if (result < 0) return disconnected(`the server closed the set-up: ${errnoText(result)}`);
      this.#sent += result;
    }
    return undefined;
  }

  #readAnswer(): QbFailure | "later" | "complete" {
    const { bytes, size } = this.#answer;
    const result = receiveBytes(this.#fd, bytes.subarray(this.#received));
    if (result === Errno.EAGAIN) return "later";
    if (result <= 0) {
      return this.#received === 0
        ? disconnected("the server closed the connection without an answer")
        : garbage(`the server's answer ended after ${this.#received} of ${size} bytes`);
    }
    this.#received += result;
    // Judged as early as possible: a refusal may be short, and garbage never becomes complete.
    const verdict = this.#received >= VERDICT_BYTES ? judgeStart(this.#answer) : undefined;
    return verdict ?? (this.#received === size ? "complete" : "later");
  }
}

function invalidName(name: string): QbFailure | undefined {
  const longest = maxNameBytes();
  if (name !== "" && Buffer.byteLength(name, "latin1") <= longest) return undefined;
  return new QbFailure("size", Errno.ENAMETOOLONG, `a service name has 1 to ${longest} bytes`);
}

function judgeStart(answer: Span): QbFailure | undefined {
  const id = ConnectionResponse.read.id(answer);
  if (id !== QbMessage.AUTHENTICATE) return garbage(`the server's answer has id ${id}, not -1`);
  const error = ConnectionResponse.read.error(answer);
  if (error === 0) return undefined;
  if (error > 0) {
    // pmxcfs returns +1 from its accept callback: clients print "Unknown error -1".
    const why = `the server refused us (it answered +${error}: pmxcfs's rule for uid and gid)`;
    return new QbFailure("refused", Errno.EPERM, why);
  }
  return new QbFailure("refused", error as Errno, "the server refused us");
}

function judge(fd: number, uid: number, answer: Span): Accepted | QbFailure {
  const { read } = ConnectionResponse;
  const size = read.size(answer);
  if (size !== ConnectionResponse.size) return garbage(`the server's answer claims ${size} bytes`);
  const type = read.connectionType(answer);
  if (type !== QB_IPC_SHM) return garbage(`the server uses transport ${type}, not shared memory`);
  const maxMessageBytes = read.maxMessageBytes(answer);
  if (maxMessageBytes < IpcLimits.minMessageBytes || maxMessageBytes > MAX_ANSWERED_SIZE) {
    return garbage(`the server requires messages of ${maxMessageBytes} bytes`);
  }
  const server = peerCredentials(fd);
  if (typeof server === "number") return disconnected("the server is gone");
  const prefixes = {
    request: read.request(answer),
    response: read.response(answer),
    event: read.event(answer),
  };
  return { fd, server, uid, maxMessageBytes, prefixes };
}
