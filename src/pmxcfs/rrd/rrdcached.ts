/**
 * Writes RRD files through rrdcached, over its unix socket. One exchange of commands and replies at
 * a time; every failure (no listener, no answer, an invalid one) closes the connection, and the
 * next exchange opens another. Nothing blocks. Protocol: rrdcached(1). C counterpart: librrd's
 * client, which waits without a timeout.
 */
import { access } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { errorCode } from "../../base/error-text.ts";
import { isBound } from "../../platform/bound-socket.ts";
import { createArguments } from "./formats.ts";
import { type RrdFile, type RrdValues, type RrdWriter, Unavailable } from "./writer.ts";

/** One reply. A negative status is an error, a positive one the number of lines that follow. */
export interface RrdcachedReply {
  readonly status: number;
  readonly message: string;
  readonly lines: readonly string[];
}

export interface RrdcachedOptions {
  readonly socketPath: string;
  /** Timeout for an exchange, with the connect if there is one. */
  readonly timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 10_000;

/** Above the size of any reply to our commands: a peer that sends more is not rrdcached. */
const MAX_PENDING_REPLY = 1 << 20;

const STATUS_LINE = /^(-?\d+) (.*)$/;

/** The current exchange: the number of expected replies, and the caller's promise. */
interface Exchange {
  readonly expected: number;
  readonly replies: RrdcachedReply[];
  readonly settle: (outcome: readonly RrdcachedReply[] | Unavailable) => void;
}

/**
 * Errors of `connect` after which no rrdcached can be running; after others it may, with values in
 * its queue.
 */
const NO_LISTENER: ReadonlySet<string | undefined> = new Set(["ENOENT", "ECONNREFUSED"]);

/** A field of a command: white space and backslashes are escaped by a backslash. */
function field(text: string): string {
  return text.replaceAll(/[\s\\]/g, "\\$&");
}

/**
 * Those of the values that rrdcached has taken whose file does not exist. It looks for a file only
 * when it has not had a value for it before: for one that was removed it takes all later values,
 * and cannot write them. C looks for the file before each update.
 */
export async function withoutFile<T extends RrdValues>(taken: readonly T[]): Promise<T[]> {
  const isMissing = await Promise.all(
    taken.map(async ({ path }) => {
      try {
        await access(Buffer.from(path, "latin1"));
        return false;
      } catch (error) {
        return errorCode(error) === "ENOENT";
      }
    }),
  );
  return taken.filter((_, index) => isMissing[index]);
}

/** Owns the socket, which does not keep the process alive. */
export class Rrdcached implements RrdWriter {
  readonly #socketPath: string;
  readonly #timeoutMs: number;
  #socket: Socket | undefined;
  #exchange: Exchange | undefined;
  #received = "";
  /** False once BATCH was refused: rrdcached can be told which commands a socket takes (-P). */
  #batches = true;

  constructor(options: RrdcachedOptions) {
    this.#socketPath = options.socketPath;
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  }

  /**
   * Sends `commands` (whole lines) and waits for `expected` replies. Await it before the next call.
   */
  async exchange(
    commands: string,
    expected: number,
  ): Promise<readonly RrdcachedReply[] | Unavailable> {
    const { promise, resolve } = Promise.withResolvers<readonly RrdcachedReply[] | Unavailable>();
    this.#exchange = { expected, replies: [], settle: resolve };
    const deadline = setTimeout(() => this.#fail("no answer"), this.#timeoutMs);
    deadline.unref();
    this.#socket ??= this.#open();
    this.#socket.write(commands, "latin1");
    const outcome = await promise;
    clearTimeout(deadline);
    return outcome;
  }

  async update(values: readonly RrdValues[]): Promise<Map<RrdValues, string> | Unavailable> {
    const lines = values.map(({ path, values: each }) => `UPDATE ${field(path)} ${each}\n`);
    if (!this.#batches) return await this.#updateEach(values, lines);
    const replies = await this.exchange(`BATCH\n${lines.join("")}.\n`, 2);
    if (replies instanceof Unavailable) return replies;
    const refusal = replies.find(({ status }) => status < 0);
    if (refusal !== undefined) {
      // Each line of the batch gets a reply of its own then: they must not answer what follows.
      this.close();
      this.#batches = false;
      return new Unavailable(`it refuses BATCH (${refusal.message})`, false);
    }
    // The first reply accepts the batch; the second has a line per error: the number of the command
    // in the batch, and the reason.
    const refused = new Map<RrdValues, string>();
    for (const line of replies[1]?.lines ?? []) {
      const [, number, reason = ""] = /^(\d+) (.*)$/.exec(line) ?? [];
      const value = values[Number(number) - 1];
      if (value !== undefined) refused.set(value, reason);
    }
    return refused;
  }

  async #updateEach(
    values: readonly RrdValues[],
    lines: readonly string[],
  ): Promise<Map<RrdValues, string> | Unavailable> {
    const replies = await this.exchange(lines.join(""), lines.length);
    if (replies instanceof Unavailable) return replies;
    const refused = new Map<RrdValues, string>();
    for (const [index, value] of values.entries()) {
      const reply = replies[index];
      if (reply !== undefined && reply.status < 0) refused.set(value, reply.message);
    }
    return refused;
  }

  /** Does not leave half a file: rrdcached writes it under a temporary name and renames it. */
  async create({ path, layout, start }: RrdFile): Promise<string | Unavailable | undefined> {
    const command = `CREATE ${field(path)} ${createArguments(layout, start)} -O\n`;
    const replies = await this.exchange(command, 1);
    if (replies instanceof Unavailable) return replies;
    const { status = 0, message = "" } = replies[0] ?? {};
    // Another server has made it, or it lies in a directory that only rrdcached sees.
    return status >= 0 || message.endsWith(": File exists") ? undefined : message;
  }

  /** Closes the connection; the current exchange fails. */
  close(): void {
    this.#fail("closed");
  }

  /** Opens the socket. Bytes may be written at once; they are sent when it is connected. */
  #open(): Socket {
    const socket = connect({ path: this.#socketPath });
    socket.unref();
    socket.setEncoding("latin1");
    socket.on("data", (text: string) => {
      if (socket === this.#socket) this.#receive(text);
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (socket !== this.#socket) return;
      const mayRun = !NO_LISTENER.has(error.code);
      // The closed connections of earlier exchanges stay in the queue of one that hangs.
      if (!mayRun && isBound(this.#socketPath)) this.#fail("it hangs");
      else this.#fail(error.message, !mayRun);
    });
    socket.on("close", () => {
      if (socket === this.#socket) this.#fail("connection closed");
    });
    return socket;
  }

  #fail(reason: string, isAbsent = false): void {
    this.#socket?.destroy();
    this.#socket = undefined;
    this.#received = "";
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.settle(new Unavailable(reason, isAbsent));
  }

  #receive(text: string): void {
    this.#received += text;
    if (this.#received.length > MAX_PENDING_REPLY) {
      this.#fail("a reply without end");
      return;
    }
    while (this.#exchange !== undefined && this.#takeReply(this.#exchange)) {
      if (this.#exchange.replies.length < this.#exchange.expected) continue;
      const { replies, settle } = this.#exchange;
      this.#exchange = undefined;
      settle(replies);
    }
  }

  /** Moves one complete reply from the received text to the exchange; false if there is none. */
  #takeReply(exchange: Exchange): boolean {
    const lines = this.#received.split("\n");
    // The last part has no newline yet.
    const whole = lines.length - 1;
    let first = 0;
    // An error may have more lines than its status says; only the first line has a status.
    while (first < whole && !STATUS_LINE.test(lines[first] ?? "")) first++;
    const [, status, message] = STATUS_LINE.exec(lines[first] ?? "") ?? [];
    const end = first + 1 + Math.max(0, Number(status ?? 0));
    if (first >= whole || end > whole) return false;
    exchange.replies.push({
      status: Number(status),
      message: message ?? "",
      lines: lines.slice(first + 1, end),
    });
    this.#received = lines.slice(end).join("\n");
    return true;
  }
}
