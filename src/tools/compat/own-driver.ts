/** Our own client library, controlled by the lines of protocol.ts. */
import { QbFailure } from "../../client/failure.ts";
import type { QbMessageIn } from "../../client/message.ts";
import { QbClient } from "../../client/qb-client.ts";
import { Errno } from "../../base/errno.ts";
import { checksum, SHOWN_BYTES } from "./body.ts";
import { COUNTER_BYTES, type Answer, type Driver } from "./protocol.ts";

const CONNECT_MS = 5000;
/** Time limit for a server to read the wake-up bytes of requests that it has answered. */
const UNREAD_MS = 1000;

function failed({ errno }: QbFailure): Answer {
  return { res: errno };
}

function received(message: QbMessageIn | QbFailure): Answer {
  if (message instanceof QbFailure) return failed(message);
  const { id, size, error, chunkBytes, body } = message;
  const short = body.byteLength <= SHOWN_BYTES ? { body: body.toString("hex") } : {};
  const digest = { length: body.byteLength, sum: checksum(body) };
  return { res: chunkBytes, id, size, error, ...digest, ...short };
}

export class OwnDriver implements Driver {
  #client: QbClient | undefined;

  async connect(name: string, size: number): Promise<Answer> {
    const client = await QbClient.connect(name, { maxMessageBytes: size, timeoutMs: CONNECT_MS });
    if (client instanceof QbFailure) return failed(client);
    this.#client = client;
    return { res: 0 };
  }

  send(id: number, body: Buffer, claimed: number): Answer {
    const failure = this.#client?.send(id, body, claimed === 0 ? {} : { claimedBytes: claimed });
    if (failure !== undefined) return failed(failure);
    return { res: this.#client === undefined ? Errno.ENOTCONN : body.byteLength };
  }

  async receive(timeoutMs: number): Promise<Answer> {
    return await this.#with(async (client) => received(await client.receive({ timeoutMs })));
  }

  async event(timeoutMs: number): Promise<Answer> {
    return await this.#with(async (client) => received(await client.receiveEvent({ timeoutMs })));
  }

  async pipeline(count: number, id: number, timeoutMs: number): Promise<Answer> {
    return await this.#with(async (client) => {
      const body = Buffer.alloc(COUNTER_BYTES);
      let sent = 0;
      let failure: QbFailure | undefined;
      for (; sent < count; sent++) {
        body.writeUInt32LE(sent);
        failure = client.send(id, body);
        if (failure !== undefined) break;
      }
      const seen = { received: 0, misordered: 0, errors: 0 };
      for (; seen.received < sent; seen.received++) {
        const response = await client.receive({ timeoutMs });
        if (response instanceof QbFailure) {
          failure = response;
          break;
        }
        body.writeUInt32LE(seen.received);
        countResponse(seen, response, id, body);
      }
      return { res: failure?.errno ?? 0, sent, ...seen };
    });
  }

  async repeat(count: number, id: number, body: Buffer, timeoutMs: number): Promise<Answer> {
    return await this.#with(async (client) => {
      const seen = { received: 0, misordered: 0, errors: 0 };
      for (; seen.received < count; seen.received++) {
        const response = client.sendRecvBlocking(id, body, { timeoutMs });
        if (response instanceof QbFailure) return { ...failed(response), ...seen };
        countResponse(seen, response, id, body);
      }
      const deadline = performance.now() + UNREAD_MS;
      while (client.unsentNotifies > 0 && performance.now() < deadline) await Bun.sleep(5);
      return { res: 0, ...seen, unread: client.unsentNotifies };
    });
  }

  flowControlMax(level: number): Answer {
    if (this.#client === undefined) return { res: Errno.ENOTCONN };
    this.#client.fcEnableMax = level;
    return { res: 0 };
  }

  alive(): Answer {
    return { res: this.#client?.connected === true ? 1 : 0 };
  }

  disconnect(): Answer {
    this.#client?.close();
    this.#client = undefined;
    return { res: 0 };
  }

  async #with(use: (client: QbClient) => Promise<Answer>): Promise<Answer> {
    return this.#client === undefined ? { res: Errno.ENOTCONN } : await use(this.#client);
  }
}

/** Counts a response that is an error, or that does not match its request. */
function countResponse(
  seen: { misordered: number; errors: number },
  response: QbMessageIn,
  id: number,
  body: Buffer,
): void {
  if (response.error !== 0) seen.errors++;
  else if (!response.body.equals(body)) seen.misordered++;
  if (response.id !== id) seen.misordered++;
}
