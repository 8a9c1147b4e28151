/**
 * A service that stands before another one: each client connection has a connection of its own to
 * the server behind, requests go there and answers and events come back as they are. Where the
 * server sees this process's credentials, what its rules would deny a client is denied here.
 */
import { Access } from "../../pmxcfs/requests/access.ts";
import { pathIsPrivate } from "../../pmxcfs/state/private-path.ts";
import { malformed } from "../../pmxcfs/requests/handler.ts";
import { CfsIpc, requestOf } from "../../pmxcfs/requests/table.ts";
import { QbFailure } from "../../client/failure.ts";
import type { QbClient } from "../../client/qb-client.ts";
import type { QbResponse } from "../../client/message.ts";
import { AdaptiveWait } from "../../client/adaptive-wait.ts";
import { Errno } from "../../base/errno.ts";
import { EMPTY_REPLY, replyError } from "../../ipc/handler.ts";
import type { Credentials, Handler, Peer, Permissions, Reply, Request } from "../../ipc/handler.ts";
import type { Span } from "../../wire/struct.ts";
import { tail } from "../../wire/text.ts";
import type { Watcher } from "./exchange.ts";
import { type Kept, type Tell, Tellings } from "./event-batch.ts";
import { type Behind, PATIENT_MS, type Taken } from "./upstream.ts";

const PATIENT = { timeoutMs: PATIENT_MS };
/** Between two tries at a server that asked to wait. */
const BUSY_PAUSE_MS = 1;

interface Session {
  readonly taken: Taken;
  client: QbClient | undefined;
  requests: number;
  closed: boolean;
}

/** What a request was, before its outcome is known. */
interface Asked {
  /** Of performance.now(). */
  readonly start: number;
  readonly peer: Peer;
  readonly id: number;
  /** As good as the request itself. */
  readonly span: Span;
  /** Its body, unless the watcher does not want it. */
  kept: Kept | undefined;
  readonly malformed: boolean;
}

/** Why an outcome is not the server's. */
interface Remark {
  readonly why: string;
  readonly refusedHere: boolean;
}

/** Why those are refused that only a server could let in which answers nobody. */
const SILENT = new QbFailure("timeout", Errno.ETIMEDOUT, "it does not answer");

const NO_REMARK: Remark = { why: "", refusedHere: false };
const REFUSED_HERE: Remark = { why: "", refusedHere: true };

export class Proxy implements Handler {
  readonly #upstream: Behind;
  readonly #access: Access;
  readonly #watcher: Watcher;
  readonly #tellings: Tellings;
  readonly #wait = new AdaptiveWait();
  readonly #sessions = new Map<Peer, Session>();
  /** What the server behind said of those it does not let in. */
  readonly #refusals = new WeakMap<Credentials, QbFailure>();

  constructor(upstream: Behind, access: Access, watcher: Watcher) {
    this.#upstream = upstream;
    this.#access = access;
    this.#watcher = watcher;
    this.#tellings = new Tellings(watcher);
  }

  /** Tells the watcher what it was not told yet. */
  tellAll(): void {
    this.#tellings.tellNow();
  }

  authenticate(peer: Credentials): Permissions | Errno {
    const verdict = this.#judge(peer);
    if (typeof verdict === "number") {
      this.#note((watcher, atMs) => watcher.refused(peer, atMs, verdict));
    }
    return verdict;
  }

  #judge(peer: Credentials): Permissions | Errno {
    const own = this.#access.authenticate(peer);
    const { showsClients } = this.#upstream;
    if (typeof own === "number" && !showsClients) return own;
    const verdict = this.#upstream.judge(peer);
    // Whom the server sees it judges itself; what we think of them is for the trace.
    if (verdict === "welcome") return typeof own === "number" ? "read-write" : own;
    // It may let them in yet: until then they wait, as they would for its own answer.
    if (verdict === "unknown" && typeof own !== "number") return own;
    const refusal = verdict === "unknown" ? SILENT : verdict;
    this.#refusals.set(peer, refusal);
    return refusal.errno;
  }

  refusal(peer: Credentials, command: string): string {
    const behind = this.#refusals.get(peer);
    if (behind === undefined) return this.#access.refusal(peer, command);
    const { name } = this.#upstream;
    return `refused pid ${peer.pid} (${command}), as @${name} does: ${String(behind)}`;
  }

  connected(peer: Peer): void {
    const session: Session = {
      taken: this.#upstream.take(peer.caller),
      client: undefined,
      requests: 0,
      closed: false,
    };
    this.#sessions.set(peer, session);
    this.#note((watcher, atMs) => watcher.opened(peer, atMs));
    void this.#attend(peer, session);
  }

  disconnected(peer: Peer): void {
    const session = this.#sessions.get(peer);
    if (session === undefined) return;
    session.closed = true;
    session.taken.cancel();
    session.client?.close();
    this.#sessions.delete(peer);
    this.#note((watcher, atMs) => watcher.closed(peer, atMs));
  }

  /** Passes events on until the server or the client has gone. */
  async #attend(peer: Peer, session: Session): Promise<void> {
    const client = await session.taken.done;
    if (client instanceof QbFailure) {
      peer.disconnect(`cannot be connected to @${this.#upstream.name}: ${String(client)}`);
      return;
    }
    if (session.closed) {
      client.close();
      return;
    }
    session.client = client;
    client.watch({
      event: ({ id, body }) => {
        const event = { id, body, after: session.requests };
        peer.sendEvent(id, body);
        this.#note((watcher, atMs) => watcher.event(peer, atMs, event), body.byteLength);
      },
      ended: () => peer.disconnect(`was left by @${this.#upstream.name}`),
    });
  }

  handle(request: Request): Reply | Promise<Reply> {
    const session = this.#sessions.get(request.peer);
    const asked = askedIn(request, false);
    if (session === undefined) return this.#answerHere(asked, Errno.ENOTCONN);
    session.requests++;
    const denied = this.#deniedHere(request);
    return denied === undefined ? this.#forward(session, asked) : this.#answerHere(asked, denied);
  }

  #answerHere(asked: Asked, error: Errno): Errno {
    this.#keep(asked);
    this.#tell(asked, error, REFUSED_HERE);
    return error;
  }

  #keep(asked: Asked): void {
    const { id, peer, span } = asked;
    if (this.#watcher.wants(id, peer.caller)) asked.kept = this.#tellings.keep(span);
  }

  /** What the server would deny this client, if it saw the client's credentials. */
  #deniedHere({ id, caller, span }: Request): Errno | undefined {
    if (this.#upstream.showsClients || caller.permissions === "read-write") return undefined;
    if (requestOf(id)?.access === "write") return Errno.EPERM;
    return id === CfsIpc.GET_CONFIG && pathIsPrivate(tail(span, 0)) ? Errno.EPERM : undefined;
  }

  /** Sizes that lie cannot be passed on; what pmxcfs answers to them can. */
  malformed(request: Request): Errno {
    const error = malformed(request.caller, request.id, request.span);
    return this.#answerHere(askedIn(request, true), error);
  }

  #forward(session: Session, asked: Asked): Reply | Promise<Reply> {
    const { client } = session;
    const { id, span } = asked;
    if (client === undefined || client.busy) return this.#forwardLater(session, asked);
    const failure = client.send(id, bodyOf(span));
    // The server is at work already.
    this.#keep(asked);
    if (failure !== undefined) return this.#notPassed(session, asked, failure);
    const answer = client.answer(id, this.#wait, PATIENT);
    if (answer instanceof Promise) return answer.then((late) => this.#outcome(asked, late));
    return this.#outcome(asked, answer);
  }

  #notPassed(session: Session, asked: Asked, failure: QbFailure): Reply | Promise<Reply> {
    if (failure.kind === "busy") return this.#forwardLater(session, asked);
    return this.#outcome(asked, failure);
  }

  /** When the connection is still being made, or the server asks to wait. */
  async #forwardLater(session: Session, asked: Asked): Promise<Reply> {
    if (asked.kept === undefined) this.#keep(asked);
    const client = session.client ?? (await session.taken.done);
    const answer =
      client instanceof QbFailure ? client : await askPatiently(client, session, asked);
    return this.#outcome(asked, answer);
  }

  #outcome(asked: Asked, answer: QbResponse | QbFailure): Reply {
    if (!(answer instanceof QbFailure)) {
      const outcome = answer.error === 0 ? answer.body : (answer.error as Errno);
      this.#tell(asked, outcome, NO_REMARK);
      return outcome;
    }
    if (answer.kind === "size") {
      this.#tell(asked, answer.errno, { why: answer.message, refusedHere: true });
      return answer.errno;
    }
    this.#tell(asked, undefined, { why: String(answer), refusedHere: false });
    asked.peer.disconnect(`lost @${this.#upstream.name}: ${String(answer)}`);
    return EMPTY_REPLY;
  }

  #tell(asked: Asked, outcome: Reply | undefined, { why, refusedHere }: Remark): void {
    const { start, peer, id, kept } = asked;
    if (kept === undefined) return;
    const latencyUs = (performance.now() - start) * 1000;
    const isReply = outcome instanceof Uint8Array;
    const replyBytes = isReply ? outcome.byteLength : 0;
    const reply = isReply && this.#watcher.wantsReplies ? outcome : EMPTY_REPLY;
    const tell: Tell = (watcher, atMs) => {
      watcher.exchanged({
        atMs,
        connection: peer.number,
        caller: peer.caller,
        id,
        body: kept.slab.subarray(kept.at, kept.at + kept.size),
        error: outcome === undefined ? undefined : replyError(outcome),
        replyBytes,
        reply,
        why,
        latencyUs: Math.round(latencyUs),
        malformed: asked.malformed,
        refusedHere,
      });
    };
    this.#tellings.add(start, tell, kept.size + reply.byteLength);
  }

  #note(tell: Tell, bytes = 0): void {
    this.#tellings.add(performance.now(), tell, bytes);
  }
}

function bodyOf({ bytes, at, size }: Span): Buffer {
  return bytes.subarray(at, at + size);
}

function askedIn({ id, peer, span }: Request, isMalformed: boolean): Asked {
  const start = performance.now();
  return { start, peer, id, span, kept: undefined, malformed: isMalformed };
}

/** As long as the server asks to wait, so is the client asked. */
async function askPatiently(
  client: QbClient,
  session: Session,
  { peer, id, span }: Asked,
): Promise<QbResponse | QbFailure> {
  const body = bodyOf(span);
  let answer = await client.sendRecv(id, body, PATIENT);
  if (!(answer instanceof QbFailure) || answer.kind !== "busy") return answer;
  peer.holdRequests(1);
  while (answer instanceof QbFailure && answer.kind === "busy" && !session.closed) {
    await Bun.sleep(BUSY_PAUSE_MS);
    answer = await client.sendRecv(id, body, PATIENT);
  }
  peer.holdRequests(0);
  return answer;
}
