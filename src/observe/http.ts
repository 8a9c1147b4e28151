/**
 * The part of HTTP/1.1 that a scraper needs: one request without a body, one answer, end of the
 * connection. Every user of this host can connect to a loopback port, and Bun.serve bounds neither
 * the number of connections nor the time for a request to arrive.
 */
import type { Socket, SocketHandler } from "bun";
import { ObserveLimits } from "../base/limits.ts";
import {
  sendOn,
  type Unsent,
  type ConnectionBounds,
  BoundedConnections,
} from "./bounded-connections.ts";

const REASONS = {
  200: "OK",
  400: "Bad Request",
  404: "Not Found",
  405: "Method Not Allowed",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
} as const;

export interface HttpRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
}

export interface HttpAnswer {
  readonly status: keyof typeof REASONS;
  readonly body: string;
  /** Headers in addition to those of every answer. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface HttpLimits extends ConnectionBounds {
  readonly headBytes: number;
}

const LIMITS: HttpLimits = {
  atOnce: ObserveLimits.scrapers,
  forMs: ObserveLimits.scrapeMs,
  headBytes: ObserveLimits.scrapeHeadBytes,
};

/** One connection. */
interface Visit extends Unsent {
  /**
   * The part of the request that has arrived, as latin1; undefined once it is complete: further
   * bytes are ignored.
   */
  head: string | undefined;
}

/** The request, or the status it is refused with; undefined while it is incomplete. */
function readHead(head: string, headBytes: number): HttpRequest | 400 | 431 | undefined {
  const end = head.search(/\r?\n\r?\n/);
  if ((end === -1 ? head.length : end) > headBytes) return 431;
  if (end === -1) return undefined;
  const [line = ""] = head.split("\n", 1);
  const [, method, target] = /^([A-Z]+) (\/\S*) HTTP\/1\.[01]\r?$/.exec(line) ?? [];
  if (method === undefined || target === undefined) return 400;
  return { method, path: target.split("?", 1)[0] ?? target };
}

function bytesOf({ status, body, headers }: HttpAnswer, method = "GET"): Uint8Array {
  const all = {
    date: new Date().toUTCString(),
    "content-type": "text/plain; charset=utf-8",
    "content-length": Buffer.byteLength(body),
    connection: "close",
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `HTTP/1.1 ${status} ${REASONS[status]}\r\n${lines.join("")}\r\n`;
  return Buffer.from(method === "HEAD" ? head : head + body);
}

/**
 * The socket handlers; `answer` may reject, which gives status 500. For Bun.listen, with
 * `allowHalfOpen`.
 */
export function httpHandler(
  answer: (request: HttpRequest) => Promise<HttpAnswer>,
  { headBytes, ...limits }: HttpLimits = LIMITS,
): SocketHandler<Visit> {
  const connections = new BoundedConnections<Visit>(limits);
  const say = (socket: Socket<Visit>, bytes: Uint8Array): void => {
    socket.data.bytes = bytes;
    sendOn(socket);
  };
  const reply = async (socket: Socket<Visit>, request: HttpRequest): Promise<void> => {
    const failed = { status: 500, body: "the answer failed\n" } as const;
    say(socket, bytesOf(await answer(request).catch(() => failed), request.method));
  };
  return {
    open(socket) {
      socket.data = { head: "", bytes: undefined };
      connections.add(socket);
    },
    data(socket, bytes) {
      const visit = socket.data;
      if (visit.head === undefined) return;
      visit.head += bytes.toString("latin1");
      const request = readHead(visit.head, headBytes);
      if (request === undefined) return;
      visit.head = undefined;
      if (typeof request !== "number") void reply(socket, request);
      else say(socket, bytesOf({ status: request, body: `${REASONS[request]}\n` }));
    },
    drain: sendOn,
    /** The client has closed its writing half: close, unless it waits for its answer. */
    end(socket) {
      const { head, bytes } = socket.data;
      if (head !== undefined || bytes?.byteLength === 0) socket.end();
    },
    close: (socket) => connections.remove(socket),
    error: (socket) => socket.terminate(),
  };
}
