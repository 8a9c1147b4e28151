/**
 * A proxy service: each client connection has an upstream connection of its own; requests, answers
 * and events pass unchanged. Where the upstream server sees this process's credentials instead of
 * the client's, the proxy applies the server's access rules to the client.
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
import { type Kept, type Report, EventBatch } from "./event-batch.ts";
import { type UpstreamPool, CLIENT_WAIT_MS, type Taken } from "./upstream.ts";

const CLIENT_WAIT = { timeoutMs: CLIENT_WAIT_MS };
/** Interval between tries while the server's flow control is on. */
const BUSY_PAUSE_MS = 1;

interface Session {
  readonly taken: Taken;
  client: QbClient | undefined;
  requests: number;
  /** The answer to the last request that had to wait; later requests wait for it. */
  waiting: Promise<unknown> | undefined;
  closed: boolean;
}

/** A request before its outcome is known. */
interface Pending {
  /** Time of arrival, by performance.now(). */
  readonly start: number;
  readonly peer: Peer;
  readonly id: number;
  /** Valid until the request is answered. */
  readonly span: Span;
  /** The body, if the watcher wants it. */
  kept: Kept | undefined;
  readonly malformed: boolean;
}

/** The reason of an outcome that is not the server's. */
interface Remark {
  readonly why: string;
  readonly refusedHere: boolean;
}

/** While the upstream server hangs: the refusal of clients that the proxy's own rule refuses. */
const SILENT = new QbFailure("timeout", Errno.ETIMEDOUT, "it does not answer");

const NO_REMARK: Remark = { why: "", refusedHere: false };
const REFUSED_HERE: Remark = { why: "", refusedHere: true };

export class Proxy implements Handler {
  readonly #upstream: UpstreamPool;
  readonly #access: Access;
  readonly #watcher: Watcher;
  readonly #batch: EventBatch;
  readonly #wait = new AdaptiveWait();
  readonly #sessions = new Map<Peer, Session>();
  /** The upstream server's refusals, by peer. */
  readonly #refusals = new WeakMap<Credentials, QbFailure>();

  constructor(upstream: UpstreamPool, access: Access, watcher: Watcher) {
    this.#upstream = upstream;
    this.#access = access;
    this.#watcher = watcher;
    this.#batch = new EventBatch(watcher);
  }

  /** Delivers what is still batched to the watcher. */
  flush(): void {
    this.#batch.flush();
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
    // The server decides by the client's ids; our permissions are shown in the trace only.
    if (verdict === "welcome") return typeof own === "number" ? "read-write" : own;
    // The server has not decided: the client is accepted, and waits as it would for the server.
    if (verdict === "unknown" && typeof own !== "number") return own;
    const refusal = verdict === "unknown" ? SILENT : verdict;
    this.#refusals.set(peer, refusal);
    return refusal.errno;
  }

  refusal(peer: Credentials, command: string): string {
    const refusal = this.#refusals.get(peer);
    if (refusal === undefined) return this.#access.refusal(peer, command);
    const { name } = this.#upstream;
    return `refused pid ${peer.pid} (${command}), as @${name} does: ${String(refusal)}`;
  }

  connected(peer: Peer): void {
    const session: Session = {
      taken: this.#upstream.take(peer.caller),
      client: undefined,
      requests: 0,
      waiting: undefined,
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

  /** Passes events on until the server or the client ends the connection. */
  async #attend(peer: Peer, session: Session): Promise<void> {
    const client = await session.taken.done;
    if (client instanceof QbFailure) {
      peer.disconnect(`no connection to @${this.#upstream.name}: ${String(client)}`);
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
      ended: () => peer.disconnect(`@${this.#upstream.name} ended the connection`),
    });
  }

  handle(request: Request): Reply | Promise<Reply> {
    const session = this.#sessions.get(request.peer);
    const pending = pendingOf(request, false);
    if (session === undefined) return this.#answerHere(pending, Errno.ENOTCONN);
    session.requests++;
    const denied = this.#deniedHere(request);
    return denied === undefined
      ? this.#forward(session, pending)
      : this.#answerHere(pending, denied);
  }

  #answerHere(pending: Pending, error: Errno): Errno {
    this.#keep(pending);
    this.#report(pending, error, REFUSED_HERE);
    return error;
  }

  #keep(pending: Pending): void {
    const { id, peer, span } = pending;
    if (this.#watcher.wants(id, peer.caller)) pending.kept = this.#batch.keep(span);
  }

  /** The errno the server would give this client if it saw the client's credentials. */
  #deniedHere({ id, caller, span }: Request): Errno | undefined {
    if (this.#upstream.showsClients || caller.permissions === "read-write") return undefined;
    if (requestOf(id)?.access === "write") return Errno.EPERM;
    return id === CfsIpc.GET_CONFIG && pathIsPrivate(tail(span, 0)) ? Errno.EPERM : undefined;
  }

  /** A request with a wrong size in its header cannot be forwarded: it is answered as by pmxcfs. */
  malformed(request: Request): Errno {
    const error = malformed(request.caller, request.id, request.span);
    return this.#answerHere(pendingOf(request, true), error);
  }

  #forward(session: Session, pending: Pending): Reply | Promise<Reply> {
    const { client, waiting } = session;
    const { id, span } = pending;
    const mustWait = client === undefined || client.busy || waiting !== undefined;
    if (mustWait) return this.#forwardLater(session, pending);
    const failure = client.send(id, bodyOf(span));
    // Copied after the send, so that the server works meanwhile.
    this.#keep(pending);
    if (failure !== undefined) return this.#notPassed(session, pending, failure);
    const answer = client.answer(id, this.#wait, CLIENT_WAIT);
    if (answer instanceof Promise) return answer.then((late) => this.#outcome(pending, late));
    return this.#outcome(pending, answer);
  }

  #notPassed(session: Session, pending: Pending, failure: QbFailure): Reply | Promise<Reply> {
    if (failure.kind === "busy") return this.#forwardLater(session, pending);
    return this.#outcome(pending, failure);
  }

  /** For a request before the upstream connection is made, under flow control, or after such. */
  async #forwardLater(session: Session, pending: Pending): Promise<Reply> {
    if (pending.kept === undefined) this.#keep(pending);
    const answer = sendWhenReady(session, pending);
    session.waiting = answer;
    const outcome = await answer;
    if (session.waiting === answer) session.waiting = undefined;
    return this.#outcome(pending, outcome);
  }

  #outcome(pending: Pending, answer: QbResponse | QbFailure): Reply {
    if (!(answer instanceof QbFailure)) {
      const outcome = answer.error === 0 ? answer.body : (answer.error as Errno);
      this.#report(pending, outcome, NO_REMARK);
      return outcome;
    }
    if (answer.kind === "size") {
      this.#report(pending, answer.errno, { why: answer.message, refusedHere: true });
      return answer.errno;
    }
    this.#report(pending, undefined, { why: String(answer), refusedHere: false });
    pending.peer.disconnect(`lost @${this.#upstream.name}: ${String(answer)}`);
    return EMPTY_REPLY;
  }

  #report(pending: Pending, outcome: Reply | undefined, { why, refusedHere }: Remark): void {
    const { start, peer, id, kept } = pending;
    if (kept === undefined) return;
    const latencyUs = (performance.now() - start) * 1000;
    const isReply = outcome instanceof Uint8Array;
    const replyBytes = isReply ? outcome.byteLength : 0;
    const reply = isReply && this.#watcher.wantsReplies ? outcome : EMPTY_REPLY;
    const report: Report = (watcher, atMs) => {
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
        malformed: pending.malformed,
        refusedHere,
      });
    };
    this.#batch.add(start, report, kept.size + reply.byteLength);
  }

  #note(report: Report, bytes = 0): void {
    this.#batch.add(performance.now(), report, bytes);
  }
}

function bodyOf({ bytes, at, size }: Span): Buffer {
  return bytes.subarray(at, at + size);
}

function pendingOf({ id, peer, span }: Request, isMalformed: boolean): Pending {
  const start = performance.now();
  return { start, peer, id, span, kept: undefined, malformed: isMalformed };
}

/**
 * Sends after the requests that wait; while the server's flow control is on, it is applied to the
 * client too.
 */
async function sendWhenReady(
  session: Session,
  { peer, id, span }: Pending,
): Promise<QbResponse | QbFailure> {
  await session.waiting;
  const client = session.client ?? (await session.taken.done);
  if (client instanceof QbFailure) return client;
  const body = bodyOf(span);
  let answer = await client.sendRecv(id, body, CLIENT_WAIT);
  if (!(answer instanceof QbFailure) || answer.kind !== "busy") return answer;
  peer.holdRequests(1);
  while (answer instanceof QbFailure && answer.kind === "busy" && !session.closed) {
    await Bun.sleep(BUSY_PAUSE_MS);
    answer = await client.sendRecv(id, body, CLIENT_WAIT);
  }
  peer.holdRequests(0);
  return answer;
}
