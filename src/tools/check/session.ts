/**
 * The connection of a run to the service, and the answers on it: connected once, each request that
 * changes nothing made once, its answer kept for all probes that use it.
 */
import type { Errno } from "../../base/errno.ts";
import { PVE_MESSAGE_BYTES } from "../../base/limits.ts";
import { QbFailure } from "../../client/failure.ts";
import { QbClient } from "../../client/qb-client.ts";
import { READ_REQUESTS } from "../../pmxcfs/requests/read-requests.ts";
import type { CfsName } from "../../pmxcfs/requests/table.ts";
import { ResponseHeader } from "../../wire/qb.ts";

export interface Read {
  readonly name: CfsName;
  /** Arguments of `pmxcfs-ipc call` for the same request; a command line, not a word. */
  readonly call: string;
  readonly id: number;
  readonly body: Buffer;
  /** What the reply must be: JSON, text of at least a byte, or anything. */
  readonly reply: "json" | "text" | "any";
  /** Errors that are right answers. */
  readonly mayFail: readonly Errno[];
  /** An answer without an error is wrong. */
  readonly mustFail: true | undefined;
}

export const READS: readonly Read[] = READ_REQUESTS.map(({ request, body, call }) => ({
  name: request.name as CfsName,
  call,
  id: request.id,
  body,
  reply: request.probe?.reply ?? "any",
  mayFail: request.probe?.mayFail ?? [],
  mustFail: request.probe?.mustFail,
}));

export interface Answer {
  /** 0 or a negative errno. */
  readonly error: number;
  readonly body: Buffer;
  /** Header included: the size that must fit into a client's buffer. */
  readonly bytes: number;
  readonly ms: number;
}

/** Large enough for every reply, also for one that is too large for a PVE client. */
const LARGE_MESSAGE_BYTES = 8 * 1024 * 1024;

const HANGS = "the server does not answer";

export class Session implements Disposable {
  readonly #service: string;
  /** A request that had less than half of this time does not prove that the server hangs. */
  readonly #deadlineMs: number;
  #client: QbClient | QbFailure | undefined;
  #givenUp: string | undefined;
  readonly #answers = new Map<string, Answer | QbFailure>();

  constructor(service: string, deadlineMs: number) {
    this.#service = service;
    this.#deadlineMs = deadlineMs;
  }

  /** The client, or why there is none; connects at the first call, with PVE's message size. */
  async client(timeoutMs: number): Promise<QbClient | QbFailure> {
    const maxMessageBytes = PVE_MESSAGE_BYTES;
    this.#client ??= await QbClient.connect(this.#service, { maxMessageBytes, timeoutMs });
    return this.#client;
  }

  /** Whether requests can be made; connects when there is no connection, or it has ended. */
  async ready(timeoutMs: number): Promise<boolean> {
    if (this.#givenUp !== undefined) return false;
    if (this.#client instanceof QbClient && !this.#client.connected) this.reconnect();
    return (await this.client(timeoutMs)) instanceof QbClient;
  }

  /** Why requests cannot be made. */
  get why(): string {
    return this.#givenUp ?? "not connected";
  }

  /** A connection of ours is open. */
  get connected(): boolean {
    return this.#client instanceof QbClient && this.#client.connected;
  }

  /** Makes no further request: the server hangs, or is gone. */
  giveUp(why: string): void {
    this.#givenUp ??= why;
  }

  /** No answer, although the server had the time for one. */
  isHang(failure: QbFailure, timeoutMs: number): boolean {
    return failure.kind === "timeout" && timeoutMs >= this.#deadlineMs / 2;
  }

  /** Drops a connection that has ended, so that the next call makes another. */
  reconnect(): void {
    this[Symbol.dispose]();
    this.#client = undefined;
  }

  async ask(id: number, body: Buffer, timeoutMs: number): Promise<Answer | QbFailure> {
    const client = await this.client(timeoutMs);
    if (client instanceof QbFailure) return client;
    const answer = await exchange(client, id, body, timeoutMs);
    if (answer instanceof QbFailure && this.isHang(answer, timeoutMs)) this.giveUp(HANGS);
    return answer;
  }

  /** The answer to a read request, which is made at the first call. */
  async read(read: Read, timeoutMs: number): Promise<Answer | QbFailure> {
    const kept = this.#answers.get(read.name);
    if (kept !== undefined) return kept;
    const answer = await this.ask(read.id, read.body, timeoutMs);
    this.#answers.set(read.name, answer);
    return answer;
  }

  /** The answer to a read request as a JSON object; undefined when it is none or did not come. */
  async readJson(name: CfsName, timeoutMs: number): Promise<Record<string, unknown> | undefined> {
    const body = await this.readBody(name, timeoutMs);
    const value = body === undefined ? undefined : parseJson(body);
    return isRecord(value) ? value : undefined;
  }

  /** The body of a successful read request; undefined when there is none. */
  async readBody(name: CfsName, timeoutMs: number): Promise<Buffer | undefined> {
    const read = READS.find((one) => one.name === name);
    if (read === undefined || !(await this.ready(timeoutMs))) return undefined;
    const answer = await this.read(read, timeoutMs);
    return answer instanceof QbFailure || answer.error !== 0 ? undefined : answer.body;
  }

  /** The same request on a connection of its own that takes larger replies. */
  async readLarge(read: Read, timeoutMs: number): Promise<Answer | QbFailure> {
    const maxMessageBytes = LARGE_MESSAGE_BYTES;
    const client = await QbClient.connect(this.#service, { maxMessageBytes, timeoutMs });
    if (client instanceof QbFailure) return client;
    using _owned = client;
    return await exchange(client, read.id, read.body, timeoutMs);
  }

  [Symbol.dispose](): void {
    if (this.#client instanceof QbClient) this.#client.close();
  }
}

async function exchange(
  client: QbClient,
  id: number,
  body: Buffer,
  timeoutMs: number,
): Promise<Answer | QbFailure> {
  const started = performance.now();
  const response = await client.sendRecv(id, body, { timeoutMs });
  if (response instanceof QbFailure) return response;
  const ms = performance.now() - started;
  const bytes = ResponseHeader.size + response.body.length;
  return { error: response.error, body: response.body, bytes, ms };
}

/** True for an object of parsed JSON that is no array. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The JSON in a reply, which may end in a NUL; undefined when it is none. */
export function parseJson(body: Buffer): unknown {
  const end = body.at(-1) === 0 ? body.length - 1 : body.length;
  try {
    return JSON.parse(body.toString("utf8", 0, end));
  } catch {
    return undefined;
  }
}
