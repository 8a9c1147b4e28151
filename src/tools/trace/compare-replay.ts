/**
 * Sends the requests of a recording to a server and compares its answers with the recorded ones.
 */
import { requestOf } from "../../pmxcfs/requests/table.ts";
import { QbFailure } from "../../client/failure.ts";
import type { QbResponse } from "../../client/message.ts";
import { QbClient } from "../../client/qb-client.ts";
import { errnoName } from "../../base/errno.ts";
import { escapeText } from "../../base/escape.ts";
import { describe, descriptionText, requestName } from "../../pmxcfs/requests/wording.ts";
import type { RecordedRequest, Recording } from "./recording.ts";

export interface CompareOptions {
  readonly service: string;
  /** Requests that change the server are sent too. */
  readonly writes: boolean;
  /** Ids of requests that are left out. */
  readonly ignore: readonly number[];
  readonly messageBytes: number;
  /** Called after each request with the number of requests so far and of all. */
  readonly progress?: (done: number, all: number) => void;
}

export interface Comparison {
  readonly compared: number;
  readonly skipped: number;
  /** One line for each. */
  readonly differences: readonly string[];
}

function outcomeOf({ error, body }: { error: number; body: Uint8Array }): string {
  return error === 0 ? `${body.byteLength} bytes` : errnoName(error);
}

/** How the answer differs from the recorded one; undefined when it does not. */
function difference(recorded: RecordedRequest, answer: QbResponse | QbFailure): string | undefined {
  const { error, reply, redacted } = recorded;
  const before = outcomeOf({ error: error ?? 0, body: reply });
  if (answer instanceof QbFailure) return `${before} recorded, now ${escapeText(String(answer))}`;
  if (answer.error !== error) return `${before} recorded, now ${outcomeOf(answer)}`;
  if (redacted.includes("reply") || answer.body.equals(reply)) return undefined;
  const most = Math.min(reply.byteLength, answer.body.byteLength);
  let at = 0;
  while (at < most && reply[at] === answer.body[at]) at++;
  return `${before} recorded, now ${outcomeOf(answer)}, different from byte ${at} on`;
}

/** True for requests that the server did not answer, that were redacted, or must not be sent. */
function isLeftOut(request: RecordedRequest, { writes, ignore }: CompareOptions): boolean {
  const { id, error, redacted, refusedHere } = request;
  if (error === null || refusedHere || redacted.includes("body")) return true;
  return ignore.includes(id) || (!writes && requestOf(id)?.access === "write");
}

/** One client per recorded connection, open from its first to its last request. */
class Clients implements Disposable {
  readonly #options: CompareOptions;
  readonly #open = new Map<number, QbClient>();

  constructor(options: CompareOptions) {
    this.#options = options;
  }

  async of(connection: number): Promise<QbClient | QbFailure> {
    const known = this.#open.get(connection);
    if (known?.connected === true) return known;
    known?.close();
    const { service, messageBytes } = this.#options;
    const client = await QbClient.connect(service, { maxMessageBytes: messageBytes });
    if (client instanceof QbClient) this.#open.set(connection, client);
    return client;
  }

  close(connection: number): void {
    this.#open.get(connection)?.close();
    this.#open.delete(connection);
  }

  [Symbol.dispose](): void {
    for (const client of this.#open.values()) client.close();
  }
}

/** Sends all requests again, in the recorded order; fails if the server refuses a connection. */
export async function compareReplay(
  recording: Recording,
  options: CompareOptions,
): Promise<Comparison | QbFailure> {
  using clients = new Clients(options);
  const asked = recording.requests.filter((request) => !isLeftOut(request, options));
  const last = new Map(asked.map((request) => [request.connection, request]));
  const differences: string[] = [];
  for (const [index, request] of asked.entries()) {
    const { connection, id, body } = request;
    const client = await clients.of(connection);
    if (client instanceof QbFailure) return client;
    const found = difference(request, await client.sendRecv(id, body));
    if (found !== undefined) {
      const what = `${requestName(id)} ${descriptionText(describe(id, body))}`.trimEnd();
      differences.push(`#${connection} ${what}: ${found}`);
    }
    if (last.get(connection) === request) clients.close(connection);
    options.progress?.(index + 1, asked.length);
  }
  const skipped = recording.requests.length - asked.length;
  return { compared: asked.length, skipped, differences };
}
