/**
 * A service that stands before another one: each client connection has a connection of its own to
 * the server behind, requests go there and answers and events come back as they are. Where the
 * server sees this process's credentials, what its rules would deny a client is denied here.
 */
import { Access, pathIsPrivate } from "../cfs/access.ts";
import { malformed } from "../cfs/dispatch.ts";
import { operationOf } from "../cfs/operations/index.ts";
import { QbFailure } from "../client/failure.ts";
import type { QbClient } from "../client/qb-client.ts";
import type { QbResponse } from "../client/message.ts";
import { Errno } from "../errno.ts";
import { EMPTY_REPLY } from "../ipc/handler.ts";
import type { Credentials, Handler, Peer, Permissions, Reply, Request } from "../ipc/handler.ts";
import { CfsIpc } from "../wire/cfs.ts";
import { tail } from "../wire/text.ts";
import type { Exchange, Watcher } from "./exchange.ts";
import type { Behind, Connected } from "./upstream.ts";

/** The client decides how long it waits; when it leaves, so do we. */
const ANSWER_TIMEOUT_MS = 3_600_000;
/** Between two tries at a server that asked to wait. */
const BUSY_PAUSE_MS = 1;

interface Session {
  readonly connecting: Promise<Connected>;
  client: QbClient | undefined;
  requests: number;
  closed: boolean;
}

/** What a request was, before its outcome is known. */
type Asked = Omit<Exchange, "outcome" | "why" | "latencyUs" | "refusedHere">;

export class Proxy implements Handler {
  readonly #upstream: Behind;
  readonly #access: Access;
  readonly #watcher: Watcher;
  readonly #sessions = new Map<Peer, Session>();
  /** What the server behind said of those it does not let in. */
  readonly #refusals = new WeakMap<Credentials, QbFailure>();

  constructor(upstream: Behind, access: Access, watcher: Watcher) {
    this.#upstream = upstream;
    this.#access = access;
    this.#watcher = watcher;
  }

  authenticate(peer: Credentials): Permissions | Errno {
    const verdict = this.#judge(peer);
    if (typeof verdict === "number") this.#watcher.refused(peer, verdict);
    return verdict;
  }

  #judge(peer: Credentials): Permissions | Errno {
    const own = this.#access.authenticate(peer);
    const { showsClients } = this.#upstream;
    if (typeof own === "number" && !showsClients) return own;
    const refusal = this.#upstream.judge(peer);
    if (refusal !== undefined) this.#refusals.set(peer, refusal);
    // Whom the server sees it judges itself; what we think of them is for the trace.
    return refusal?.errno ?? (typeof own === "number" ? "read-write" : own);
  }

  refusal(peer: Credentials, command: string): string {
    const behind = this.#refusals.get(peer);
    if (behind === undefined) return this.#access.refusal(peer, command);
    const { name } = this.#upstream;
    return `refused pid ${peer.pid} (${command}), as @${name} does: ${String(behind)}`;
  }

  connected(peer: Peer): void {
    const session: Session = {
      connecting: this.#upstream.take(peer.caller),
      client: undefined,
      requests: 0,
      closed: false,
    };
    this.#sessions.set(peer, session);
    this.#watcher.opened(peer);
    void this.#attend(peer, session);
  }

  disconnected(peer: Peer): void {
    const session = this.#sessions.get(peer);
    if (session === undefined) return;
    session.closed = true;
    session.client?.close();
    this.#sessions.delete(peer);
    // Its last request is told in a turn of its own too, before.
    setImmediate(() => this.#watcher.closed(peer));
  }

  /** Passes events on until the server or the client has gone. */
  async #attend(peer: Peer, session: Session): Promise<void> {
    const client = await session.connecting;
    if (client instanceof QbFailure) {
      peer.disconnect(`cannot be connected to @${this.#upstream.name}: ${String(client)}`);
      return;
    }
    if (session.closed) {
      client.close();
      return;
    }
    session.client = client;
    for (;;) {
      const event = await client.receiveEvent({ timeoutMs: ANSWER_TIMEOUT_MS });
      if (!(event instanceof QbFailure)) {
        peer.sendEvent(event.id, event.body);
        this.#watcher.event(peer, event.id, event.body, session.requests);
      } else if (event.ended) {
        if (!session.closed) peer.disconnect(`was left by @${this.#upstream.name}`);
        return;
      }
    }
  }

  handle(request: Request): Reply | Promise<Reply> {
    const start = performance.now();
    const { id, caller, peer, span } = request;
    const body = Buffer.from(span.bytes.subarray(span.at, span.at + span.size));
    const asked = { atMs: Date.now(), connection: peer.number, caller, id, body, malformed: false };
    const session = this.#sessions.get(peer);
    if (session !== undefined) session.requests++;
    const denied = session === undefined ? Errno.ENOTCONN : this.#deniedHere(request);
    if (denied === undefined && session !== undefined) {
      return this.#forward(session, peer, asked, start);
    }
    this.#tell(asked, start, denied, "", true);
    return denied ?? Errno.ENOTCONN;
  }

  /** What the server would deny this client, if it saw the client's credentials. */
  #deniedHere({ id, caller, span }: Request): Errno | undefined {
    if (this.#upstream.showsClients || caller.permissions === "read-write") return undefined;
    if (operationOf(id)?.access === "write") return Errno.EPERM;
    return id === CfsIpc.GET_CONFIG && pathIsPrivate(tail(span, 0)) ? Errno.EPERM : undefined;
  }

  /** Sizes that lie cannot be passed on; what pmxcfs answers to them can. */
  malformed({ caller, id, peer, span }: Request): Errno {
    const error = malformed(caller, id);
    const body = Buffer.from(span.bytes.subarray(span.at, span.at + span.size));
    const asked = { atMs: Date.now(), connection: peer.number, caller, id, body, malformed: true };
    this.#tell(asked, performance.now(), error, "", true);
    return error;
  }

  #forward(session: Session, peer: Peer, asked: Asked, start: number): Reply | Promise<Reply> {
    const { client } = session;
    if (client === undefined) return this.#forwardLater(session, peer, asked, start);
    const answer = client.ask(asked.id, asked.body, { timeoutMs: ANSWER_TIMEOUT_MS });
    if (answer instanceof Promise) {
      return answer.then((late) => this.#outcome(peer, asked, start, late));
    }
    if (answer instanceof QbFailure && answer.kind === "busy") {
      return this.#forwardLater(session, peer, asked, start);
    }
    return this.#outcome(peer, asked, start, answer);
  }

  /** When the connection is still being made, or the server asks to wait. */
  async #forwardLater(session: Session, peer: Peer, asked: Asked, start: number): Promise<Reply> {
    const client = session.client ?? (await session.connecting);
    const answer =
      client instanceof QbFailure ? client : await askPatiently(client, session, peer, asked);
    return this.#outcome(peer, asked, start, answer);
  }

  #outcome(peer: Peer, asked: Asked, start: number, answer: QbResponse | QbFailure): Reply {
    if (!(answer instanceof QbFailure)) {
      const outcome = answer.error === 0 ? answer.body : (answer.error as Errno);
      this.#tell(asked, start, outcome, "", false);
      return outcome;
    }
    if (answer.kind === "size") {
      this.#tell(asked, start, answer.errno, answer.message, true);
      return answer.errno;
    }
    this.#tell(asked, start, undefined, String(answer), false);
    peer.disconnect(`lost @${this.#upstream.name}: ${String(answer)}`);
    return EMPTY_REPLY;
  }

  #tell(
    asked: Asked,
    start: number,
    outcome: Exchange["outcome"],
    why: string,
    refusedHere: boolean,
  ): void {
    const latencyUs = Math.round((performance.now() - start) * 1000);
    // Behind the answer: whoever waits for it does not wait for the telling too.
    setImmediate(() => {
      this.#watcher.exchanged({ ...asked, outcome, why, latencyUs, refusedHere });
    });
  }
}

/** As long as the server asks to wait, so is the client asked. */
async function askPatiently(
  client: QbClient,
  session: Session,
  peer: Peer,
  { id, body }: Asked,
): Promise<QbResponse | QbFailure> {
  const options = { timeoutMs: ANSWER_TIMEOUT_MS };
  let answer = await client.sendRecv(id, body, options);
  if (!(answer instanceof QbFailure) || answer.kind !== "busy") return answer;
  peer.holdRequests(1);
  while (answer instanceof QbFailure && answer.kind === "busy" && !session.closed) {
    await Bun.sleep(BUSY_PAUSE_MS);
    answer = await client.sendRecv(id, body, options);
  }
  peer.holdRequests(0);
  return answer;
}
