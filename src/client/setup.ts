/**
 * The client's half of the set-up (libqb ipc_setup.c, qb_ipcc_us_setup_connect; WIRE.md 1, 2):
 * connect, ask, read the answer, all within one deadline. The answer is judged before anything of
 * it is used. Owns the setup socket until it hands it over.
 */
import { Errno, errnoText } from "../errno.ts";
import { IpcLimits } from "../limits.ts";
import { closeDescriptor } from "../platform/files.ts";
import {
  connectTo,
  peerCredentials,
  receiveBytes,
  sendBytes,
  type Credentials,
} from "../platform/socket.ts";
import { ConnectionRequest, ConnectionResponse, QB_IPC_SHM, QbMessage } from "../wire/qb.ts";
import { newSpan, type Span } from "../wire/struct.ts";
import { disconnected, garbage, QbFailure, timedOut } from "./failure.ts";
import { waitFor } from "./waiting.ts";

/** A server may enforce larger messages than we asked for, but not this large. */
const ANSWERED_SIZE_MAX = 256 * 1024 * 1024;

/** Bytes of the answer that say whether it is one, and whether we are in. */
const VERDICT_BYTES = ConnectionResponse.offset.connectionType;

/** An accepted set-up; the descriptor is the caller's from here on. */
export interface Accepted {
  readonly fd: number;
  readonly server: Credentials;
  readonly maxMessageBytes: number;
  /** Ring name prefixes as the server named them; not judged yet. */
  readonly prefixes: Readonly<Record<"request" | "response" | "event", string>>;
}

/** Connects to service `name` and asks for messages of `maxMessageBytes`. */
export async function setUp(
  name: string,
  maxMessageBytes: number,
  timeoutMs: number,
): Promise<Accepted | QbFailure> {
  if (name === "" || Buffer.byteLength(name, "latin1") >= IpcLimits.addressPathBytes) {
    return new QbFailure("size", Errno.ENAMETOOLONG, "a service name has 1 to 107 bytes");
  }
  const deadline = performance.now() + timeoutMs;
  const fd = await connectBy(name, deadline, timeoutMs);
  if (fd instanceof QbFailure) return fd;
  const answer = newSpan(ConnectionResponse.size);
  const failure =
    (await ask(fd, maxMessageBytes, deadline)) ?? (await readAnswer(fd, answer, deadline));
  const accepted = failure ?? judge(fd, answer);
  if (accepted instanceof QbFailure) closeDescriptor(fd);
  return accepted === TIMED_OUT ? notInTime(timeoutMs) : accepted;
}

const TIMED_OUT = timedOut("no answer", 0);

function notInTime(timeoutMs: number): QbFailure {
  return timedOut("the server accepted the connection but gave no answer", timeoutMs);
}

async function connectBy(
  name: string,
  deadline: number,
  timeoutMs: number,
): Promise<number | QbFailure> {
  const fd = await waitFor(() => {
    const result = connectTo(name);
    return result === Errno.EAGAIN ? undefined : result;
  }, deadline);
  if (fd === undefined)
    return timedOut("the server does not accept: its backlog was full", timeoutMs);
  if (fd >= 0) return fd;
  const errno = fd as Errno;
  if (errno === Errno.ECONNREFUSED || errno === Errno.ENOENT) {
    return new QbFailure("absent", errno, `nobody listens on @${name}`);
  }
  return new QbFailure("files", errno, `cannot connect to @${name}`);
}

async function ask(
  fd: number,
  maxMessageBytes: number,
  deadline: number,
): Promise<QbFailure | undefined> {
  const request = newSpan(ConnectionRequest.size);
  ConnectionRequest.write.id(request, QbMessage.AUTHENTICATE);
  ConnectionRequest.write.size(request, ConnectionRequest.size);
  ConnectionRequest.write.maxMessageBytes(request, maxMessageBytes);
  let sent = 0;
  const outcome = await waitFor(() => {
    const result = sendBytes(fd, request.bytes.subarray(sent));
    if (result === Errno.EAGAIN) return undefined;
    if (result < 0) return disconnected(`the server closed the set-up: ${errnoText(result)}`);
    sent += result;
    return sent === ConnectionRequest.size ? "sent" : undefined;
  }, deadline);
  if (outcome === "sent") return undefined;
  return outcome ?? TIMED_OUT;
}

async function readAnswer(
  fd: number,
  answer: Span,
  deadline: number,
): Promise<QbFailure | undefined> {
  let received = 0;
  const outcome = await waitFor(() => {
    const result = receiveBytes(fd, answer.bytes.subarray(received));
    if (result === Errno.EAGAIN) return undefined;
    if (result <= 0) {
      return received === 0
        ? disconnected("the server closed the connection without an answer")
        : garbage(`the server's answer ended after ${received} of ${answer.size} bytes`);
    }
    received += result;
    // A refusal may be short, and garbage never gets complete: judge as early as can be.
    const verdict = received >= VERDICT_BYTES ? judgeStart(answer) : undefined;
    return verdict ?? (received === answer.size ? "complete" : undefined);
  }, deadline);
  if (outcome === "complete") return undefined;
  if (outcome !== undefined) return outcome;
  if (received === 0) return TIMED_OUT;
  return new QbFailure(
    "timeout",
    Errno.ETIMEDOUT,
    `the server sent ${received} of ${answer.size} bytes of its answer and then nothing`,
  );
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

function judge(fd: number, answer: Span): Accepted | QbFailure {
  const { read } = ConnectionResponse;
  const size = read.size(answer);
  if (size !== ConnectionResponse.size) return garbage(`the server's answer claims ${size} bytes`);
  const type = read.connectionType(answer);
  if (type !== QB_IPC_SHM) return garbage(`the server wants transport ${type}, not shared memory`);
  const maxMessageBytes = read.maxMessageBytes(answer);
  if (maxMessageBytes < IpcLimits.minMessageBytes || maxMessageBytes > ANSWERED_SIZE_MAX) {
    return garbage(`the server wants messages of ${maxMessageBytes} bytes`);
  }
  const server = peerCredentials(fd);
  if (typeof server === "number") return disconnected("the server is gone");
  const prefixes = {
    request: read.request(answer),
    response: read.response(answer),
    event: read.event(answer),
  };
  return { fd, server, maxMessageBytes, prefixes };
}
