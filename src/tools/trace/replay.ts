/** A service that answers from a recording, so that tests of clients need no server. */
import type { Access } from "../../pmxcfs/requests/access.ts";
import { Errno } from "../../base/errno.ts";
import { EMPTY_REPLY } from "../../ipc/handler.ts";
import type { Credentials, Handler, Permissions, Reply, Request } from "../../ipc/handler.ts";
import { LogLimits } from "../../base/limits.ts";
import type { Log } from "../../base/log.ts";
import { describe, descriptionText, requestName } from "../../pmxcfs/requests/wording.ts";
import type { RecordedRequest, Recording } from "./recording.ts";
import { redactBody } from "./redact.ts";

/** The answer to a request that was not recorded; pmxcfs never answers with it. */
const NOT_RECORDED = Errno.ENOSYS;

/** Most different requests that are logged as not recorded: clients can make up any number. */
const MOST_MISSED = 1024;

/** The recorded answers to one request, in their order. */
interface Answers {
  readonly list: RecordedRequest[];
  next: number;
}

/**
 * Equal requests get their recorded answers one after the other, and then the last one again and
 * again. A caller gets the answers of recorded callers with the same permissions, if there are any.
 */
export class Replayer implements Handler {
  readonly #access: Access;
  readonly #log: Log;
  readonly #redacted: boolean;
  readonly #answers = new Map<string, Answers>();
  readonly #missed = new Set<string>();

  constructor(recording: Recording, access: Access, log: Log) {
    this.#access = access;
    this.#log = log;
    this.#redacted = recording.header.redacted;
    for (const request of recording.requests) {
      const { id, body, permissions } = request;
      for (const who of [permissions, "any caller"]) {
        const key = keyOf(who, id, body);
        const known = this.#answers.get(key);
        if (known === undefined) this.#answers.set(key, { list: [request], next: 0 });
        else known.list.push(request);
      }
    }
  }

  authenticate(peer: Credentials): Permissions | Errno {
    return this.#access.authenticate(peer);
  }

  refusal(peer: Credentials, command: string): string {
    return this.#access.refusal(peer, command);
  }

  handle({ id, span, caller, peer }: Request): Reply {
    const given = Buffer.from(span.bytes.subarray(span.at, span.at + span.size));
    const body = this.#redacted ? redactBody(id, given) : given;
    const answers =
      this.#answers.get(keyOf(caller.permissions, id, body)) ??
      this.#answers.get(keyOf("any caller", id, body));
    const request = answers?.list[Math.min(answers.next, answers.list.length - 1)];
    if (answers === undefined || request === undefined) return this.#miss(id, body);
    answers.next++;
    for (const event of request.events) peer.sendEvent(event.id, event.body);
    if (request.error === 0) return request.reply;
    if (request.error !== null) return request.error as Errno;
    peer.disconnect("its request had no answer in the recording");
    return EMPTY_REPLY;
  }

  #miss(id: number, body: Buffer): Errno {
    if (this.#missed.size > MOST_MISSED) return NOT_RECORDED;
    const described = descriptionText(describe(id, body, LogLimits.requestBytes));
    const what = `${requestName(id)} ${described}`.trimEnd();
    if (this.#missed.has(what)) return NOT_RECORDED;
    this.#missed.add(what);
    const isLogged = this.#missed.size <= MOST_MISSED;
    const more = `more than ${MOST_MISSED} different requests; no others are logged`;
    this.#log.warn(`not recorded: ${isLogged ? what : more}`);
    return NOT_RECORDED;
  }
}

function keyOf(who: string, id: number, body: Buffer): string {
  return `${who} ${id} ${body.toString("base64")}`;
}
