/**
 * One loading client: this program started again by `bench`, with one connection of libqb or of our
 * own library. Prints `ready`, waits for `go`, sends requests, and reports one line of JSON.
 */
import { writeSync } from "node:fs";
import { QbFailure } from "../../client/failure.ts";
import { QbClient } from "../../client/qb-client.ts";
import { errnoName } from "../../base/errno.ts";
import { Libqb, type LibqbConnection } from "../../platform/libqb.ts";
import { RequestHeader, ResponseHeader } from "../../wire/qb.ts";
import { spanOf } from "../../wire/struct.ts";
import { Histogram } from "../../base/histogram.ts";

/** Environment variable of a child: its work, as JSON. */
export const LOAD_VARIABLE = "PMXCFS_IPC_BENCH_CHILD";

export type LoadClient = "libqb" | "own";

/** The work of a child. */
export interface LoadWork {
  readonly socket: string;
  readonly client: LoadClient;
  /** Request id, or `connect` to measure connecting and disconnecting. */
  readonly id: number | "connect";
  /** The body in base64, or its size: a large one does not fit into an environment variable. */
  readonly body: string | number;
  readonly messageBytes: number;
  readonly timeoutMs: number;
}

/** The report of a child. */
export interface LoadReport {
  readonly latencies: ReturnType<Histogram["toPairs"]>;
  /** Number of error answers, and the last errno. */
  readonly errors: number;
  readonly lastError: number;
  readonly elapsedMs: number;
  readonly cpuMs: number;
}

/** One operation: 0, the errno of an answer, or a text for a failure that ends the load. */
type Operation = () => number | string | Promise<number | string>;

const RESPONSE_ROOM = 64 * 1024;

function bodyOf({ body }: LoadWork): Buffer {
  return typeof body === "number" ? Buffer.alloc(body, "x") : Buffer.from(body, "base64");
}

/** Reports to the parent; ends this process if the parent has ended. */
function say(line: string): void {
  const bytes = Buffer.from(`${line}\n`);
  try {
    for (let at = 0; at < bytes.byteLength;) at += writeSync(1, bytes, at);
  } catch {
    process.exit(1);
  }
}

async function ownOperation(work: LoadWork): Promise<Operation | string> {
  const options = { maxMessageBytes: work.messageBytes, timeoutMs: work.timeoutMs };
  const { socket, id } = work;
  if (id === "connect") {
    return async () => {
      const client = await QbClient.connect(socket, options);
      if (client instanceof QbFailure) return String(client);
      client.close();
      return 0;
    };
  }
  const client = await QbClient.connect(socket, options);
  if (client instanceof QbFailure) return String(client);
  const body = bodyOf(work);
  return () => {
    const response = client.sendRecvBlocking(id, body);
    return response instanceof QbFailure ? String(response) : response.error;
  };
}

function libqbOperation(work: LoadWork): Operation | string {
  const libqb = Libqb.load();
  if (libqb === undefined) return "no libqb on this machine";
  const { socket, id, messageBytes, timeoutMs } = work;
  const connect = (): LibqbConnection | string => {
    const connection = libqb.connect(socket, messageBytes);
    return typeof connection === "number" ? `connect: ${errnoName(connection)}` : connection;
  };
  if (id === "connect") {
    return () => {
      const connection = connect();
      if (typeof connection === "string") return connection;
      connection.close();
      return 0;
    };
  }
  const connection = connect();
  if (typeof connection === "string") return connection;
  const body = bodyOf(work);
  const message = Buffer.concat([Buffer.alloc(RequestHeader.size), body]);
  RequestHeader.write.id(spanOf(message), id);
  RequestHeader.write.size(spanOf(message), message.byteLength);
  const room = spanOf(Buffer.alloc(messageBytes + RESPONSE_ROOM));
  return () => {
    const sent = connection.send(message);
    if (sent < 0) return `send: ${errnoName(sent)}`;
    const received = connection.receive(room.bytes, timeoutMs);
    if (received < ResponseHeader.size) return `receive: ${errnoName(received)}`;
    return ResponseHeader.read.error(room);
  };
}

/** Repeats `operation` for `durationMs`, or `count` times if `count` is not 0. */
async function load(
  operation: Operation,
  durationMs: number,
  count: number,
): Promise<LoadReport | string> {
  const histogram = new Histogram();
  const cpu = process.cpuUsage();
  const start = Bun.nanoseconds();
  const end = start + durationMs * 1e6;
  let [errors, lastError, before] = [0, 0, start];
  while (count > 0 ? histogram.total < count : before < end) {
    const pending = operation();
    const outcome = typeof pending === "object" ? await pending : pending;
    if (typeof outcome === "string") return outcome;
    const now = Bun.nanoseconds();
    histogram.record(now - before);
    before = now;
    if (outcome === 0) continue;
    errors++;
    lastError = outcome;
  }
  const { user, system } = process.cpuUsage(cpu);
  return {
    latencies: histogram.toPairs(),
    errors,
    lastError,
    elapsedMs: (before - start) / 1e6,
    cpuMs: (user + system) / 1000,
  };
}

/** Runs the child; `role` is the value of its environment variable. */
export async function runLoadChild(role: string): Promise<void> {
  const work = JSON.parse(role) as LoadWork;
  const operation = work.client === "own" ? await ownOperation(work) : libqbOperation(work);
  if (typeof operation === "string") return say(JSON.stringify({ failure: operation }));
  say("ready");
  let pending = "";
  for await (const chunk of Bun.stdin.stream()) {
    pending += Buffer.from(chunk).toString("latin1");
    const end = pending.indexOf("\n");
    if (end < 0) continue;
    const [, duration = "0", count = "0"] = pending.slice(0, end).split(" ");
    pending = pending.slice(end + 1);
    const report = await load(operation, Number(duration), Number(count));
    say(JSON.stringify(typeof report === "string" ? { failure: report } : report));
  }
}
