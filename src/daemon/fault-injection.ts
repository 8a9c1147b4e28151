/**
 * Fault injection, for testing tools against a pmxcfs that is slow, broken or gone: a Handler
 * around another one that delays, fails, drops or refuses requests by rules. Off by default. The
 * log lists the rules at the start, and how often each was applied at the end.
 */
import { counted } from "../base/counted.ts";
import { Errno } from "../base/errno.ts";
import {
  EMPTY_REPLY,
  type Credentials,
  type Handler,
  type Peer,
  type Permissions,
  type Reply,
  type Request,
} from "../ipc/handler.ts";
import type { Log } from "../base/log.ts";
import { spanOf } from "../wire/struct.ts";

/** What is done to a request after the delay. */
export type FaultAction =
  | { readonly kind: "none" }
  | { readonly kind: "errno"; readonly errno: Errno }
  /** The connection is closed without an answer. */
  | { readonly kind: "disconnect" }
  /** Never answered; later requests of the connection are not either, as answers keep order. */
  | { readonly kind: "silent" }
  /** Answered as usual; then flow control makes the client's sends fail with EAGAIN for `forMs`. */
  | { readonly kind: "busy"; readonly forMs: number };

/** One `--inject`. */
export interface FaultRule {
  /** The option's text, for the log. */
  readonly text: string;
  /** A request id, every request, or the handshake. */
  readonly on: number | "any" | "refuse";
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  /** 0 to 1. */
  readonly probability: number;
  /** The same seed gives the same sequence of decisions. */
  readonly seed: number;
  readonly delayMs: number;
  readonly action: FaultAction;
}

interface Armed {
  readonly rule: FaultRule;
  readonly random: () => number;
  strikes: number;
}

/** mulberry32, a small seeded generator: numbers from 0 up to but excluding 1. */
export function dice(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Copies a request that is answered later: its memory goes when the connection ends. */
function kept(request: Request): Request {
  const { span, id, caller, peer } = request;
  const body = Buffer.from(span.bytes.subarray(span.at, span.at + span.size));
  return { id, backToBackNs: 0, caller, peer, span: spanOf(body) };
}

/**
 * The handler with faults. Of the rules that match a request, the first whose probability is met
 * is applied.
 */
export class FaultInjector implements Handler {
  readonly #inner: Handler;
  readonly #rules: readonly Armed[];
  readonly #log: Log;
  readonly #silenced = new Set<Peer>();
  readonly #held = new Map<Peer, Timer>();

  constructor(inner: Handler, rules: readonly FaultRule[], log: Log) {
    this.#inner = inner;
    this.#rules = rules.map((rule) => ({ rule, random: dice(rule.seed), strikes: 0 }));
    this.#log = log;
    const listed = rules.map(({ text, seed }) => `"${text}" (seed ${seed})`).join(", ");
    log.warn(`FAULT INJECTION IS ON: requests will fail on purpose, by ${listed}`);
  }

  /** At a stop: disconnects clients that wait for an answer, and logs how often rules applied. */
  stop(): void {
    for (const peer of this.#silenced) peer.disconnect("was left without an answer (--inject)");
    for (const timer of this.#held.values()) clearTimeout(timer);
    const counts = this.#rules.map(({ rule, strikes }) => `${strikes} by "${rule.text}"`);
    const total = this.#rules.reduce((sum, { strikes }) => sum + strikes, 0);
    this.#log.warn(`injected ${counted(total, "fault")}: ${counts.join(", ")}`);
  }

  authenticate(peer: Credentials): Permissions | Errno {
    const action = this.#strike("refuse", peer)?.action;
    return action?.kind === "errno" ? action.errno : this.#inner.authenticate(peer);
  }

  handle(request: Request): Reply | Promise<Reply> {
    const rule = this.#strike(request.id, request.caller);
    if (rule === undefined) return this.#inner.handle(request);
    if (rule.delayMs === 0) return this.#act(rule.action, request);
    const own = kept(request);
    return Bun.sleep(rule.delayMs).then(() => this.#act(rule.action, own));
  }

  #act(action: FaultAction, request: Request): Reply | Promise<Reply> {
    const { peer } = request;
    if (action.kind === "errno") return action.errno;
    if (action.kind === "silent") {
      this.#silenced.add(peer);
      return new Promise(() => {});
    }
    if (action.kind === "disconnect") {
      peer.disconnect("is disconnected on purpose (--inject)");
      return EMPTY_REPLY;
    }
    if (action.kind === "busy") this.#hold(peer, action.forMs);
    return this.#inner.handle(request);
  }

  #hold(peer: Peer, forMs: number): void {
    clearTimeout(this.#held.get(peer));
    peer.holdRequests(1);
    const lift = setTimeout(() => {
      this.#held.delete(peer);
      peer.holdRequests(0);
    }, forMs);
    this.#held.set(peer, lift);
  }

  #strike(on: number | "refuse", { uid, gid }: Credentials): FaultRule | undefined {
    for (const armed of this.#rules) {
      const { rule } = armed;
      const meant = rule.on === on || (rule.on === "any" && on !== "refuse");
      if (!meant || (rule.uid ?? uid) !== uid || (rule.gid ?? gid) !== gid) continue;
      if (armed.random() >= rule.probability) continue;
      armed.strikes++;
      return rule;
    }
    return undefined;
  }

  refusal(peer: Credentials, command: string): string {
    const meant = this.#inner.authenticate(peer);
    if (typeof meant === "number" && this.#inner.refusal !== undefined) {
      return this.#inner.refusal(peer, command);
    }
    return `refused pid ${peer.pid} (${command}), uid ${peer.uid}, on purpose (--inject)`;
  }

  malformed(request: Request): Errno {
    return this.#inner.malformed?.(request) ?? Errno.EINVAL;
  }

  connected(peer: Peer): void {
    this.#inner.connected?.(peer);
  }

  disconnected(peer: Peer): void {
    this.#silenced.delete(peer);
    clearTimeout(this.#held.get(peer));
    this.#held.delete(peer);
    this.#inner.disconnected?.(peer);
  }
}
