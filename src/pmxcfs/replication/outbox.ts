/**
 * Messages that corosync has not accepted yet. Two lanes: messages of the protocol (and own NORMAL
 * messages that are resent before a synchronisation) go first; NORMAL messages go in the order of
 * their counts and only while the mode is SYNCED: the others would apply a change of a lagging
 * member before that member does (docs/internals/replication.md).
 *
 * A message of the protocol is dropped when its epoch is over: every member would ignore it.
 * UPDATEs come from an iterator, so that a large tree is not copied at once.
 */
import type { Outgoing, SendOutcome } from "./events.ts";
import { encodeControl, encodeNormal, sameEpoch, Type, typeName, type Epoch } from "./message.ts";

/** A message of the protocol, or several of one type. */
export interface ControlItem {
  readonly type: number;
  readonly epoch: Epoch;
  readonly bodies: Iterator<Uint8Array>;
}

/** A NORMAL message; it gets its count when it is first offered. */
export interface NormalItem {
  readonly subtype: number;
  readonly body: Uint8Array;
  /** Set when a caller waits. */
  readonly ticket?: number;
  /** A later message with the same key takes this one's place while it waits. */
  readonly key?: string;
}

type Waiting = { -readonly [K in keyof NormalItem]: NormalItem[K] };

/** Limit of waiting messages without ticket and key (log entries); the oldest is dropped. */
const MAX_PLAIN = 1000;

/**
 * Retries after which a change whose caller waits is dropped, 100 ms each. Status values and log
 * entries are kept for as long as corosync takes no messages, since no one would send them again
 * before the next synchronisation; their number has other limits.
 */
const MAX_RETRIES = 100;
/** Retries from one log line to the next. */
const RETRIES_PER_LINE = 10;

/** The machine's state, for `next`. */
export interface SendingState {
  readonly protocol: number;
  readonly seconds: number;
  readonly epoch: Epoch;
  /** NORMAL messages may be sent. */
  readonly synced: boolean;
}

/** A message that was offered, and where it came from. */
type Offer =
  | { readonly lane: "control"; readonly out: Outgoing; readonly item: ControlItem | "again" }
  | { readonly lane: "normal"; readonly out: Outgoing; readonly item: NormalItem };

/** The outcome of the last offer, for the machine. */
export interface SendReport {
  /** How often it was retried, at every tenth time and at the end. */
  readonly line?: string;
  /** It was given up, or corosync refused it. */
  readonly failure?: string;
  /** corosync has this NORMAL message, or a part of it, with this count. */
  readonly sent?: { readonly item: NormalItem; readonly count: bigint };
  /** This one was dropped. */
  readonly failed?: NormalItem;
  /** Name of a message that was dropped and without which other members wait. */
  readonly missing?: string;
}

function isPlain({ key, ticket }: NormalItem): boolean {
  return key === undefined && ticket === undefined;
}

/** True for an UPDATE (the members that lack it leave) and a VERIFY_REQUEST, as in C. */
function mayBeMissing(item: ControlItem | "again"): boolean {
  return item !== "again" && (item.type === Type.update || item.type === Type.verifyRequest);
}

export class Outbox {
  #control: (ControlItem | { readonly again: Buffer })[] = [];
  #normal: Waiting[] = [];
  /** Waiting messages by key, whose body a later message with that key still replaces. */
  readonly #keyed = new Map<string, Waiting>();
  #plain = 0;
  #offer: Offer | undefined;
  /** corosync has a part of the offered message: nothing else is sent before the rest. */
  #pending = false;
  #retries = 0;
  /** Count of the last NORMAL message that was offered; never reset. */
  #count = 0n;
  /** Count of the first NORMAL message in its lane, once it was offered. */
  #headCount: bigint | undefined;
  #sentMessages = 0;
  #sentBytes = 0;
  #allRetries = 0;

  /** Messages that wait; UPDATEs of one synchronisation count once. */
  get length(): number {
    return this.#control.length + this.#normal.length;
  }

  /** Retries of the message that is offered now. */
  get retries(): number {
    return this.#retries;
  }

  /** Since the start: messages and bytes sent, and retries. */
  get totals(): { messages: number; bytes: number; retries: number } {
    return { messages: this.#sentMessages, bytes: this.#sentBytes, retries: this.#allRetries };
  }

  addControl(type: number, epoch: Epoch, bodies: Iterator<Uint8Array>): void {
    this.#control.push({ type, epoch, bodies });
  }

  /** Resends an own NORMAL message, byte for byte: every member has dropped it from its queue. */
  addAgain(bytes: Buffer): void {
    this.#control.push({ again: bytes });
  }

  addNormal(item: NormalItem): void {
    if (item.key !== undefined) {
      const waiting = this.#keyed.get(item.key);
      if (waiting !== undefined) {
        waiting.body = item.body;
        return;
      }
    }
    const kept: Waiting = { ...item };
    this.#normal.push(kept);
    if (item.key !== undefined) this.#keyed.set(item.key, kept);
    else if (item.ticket === undefined && ++this.#plain > MAX_PLAIN) this.#dropPlain();
  }

  /** Drops the oldest log entry; not the first message of the lane, which may be on offer. */
  #dropPlain(): void {
    const at = this.#normal.findIndex((item, index) => index > 0 && isPlain(item));
    if (at < 0) return;
    this.#normal.splice(at, 1);
    this.#plain--;
  }

  /** Takes back a NORMAL message; false when corosync has it or a part of it. */
  withdraw(ticket: number): boolean {
    const at = this.#normal.findIndex((item) => item.ticket === ticket);
    const item = this.#normal[at];
    if (item === undefined) return false;
    if (at === 0) {
      if (this.#pending && this.#offer?.lane === "normal") return false;
      this.#dropHead();
    } else this.#normal.splice(at, 1);
    return true;
  }

  /** Takes back all NORMAL messages of which corosync has no part, and returns their tickets. */
  withdrawAll(): number[] {
    const isUnderWay = this.#pending && this.#offer?.lane === "normal";
    const taken = this.#normal.splice(isUnderWay ? 1 : 0);
    const rest = this.#normal[0];
    this.#plain = rest !== undefined && isPlain(rest) ? 1 : 0;
    this.#keyed.clear();
    if (rest === undefined) this.#dropHead();
    return taken.flatMap(({ ticket }) => ticket ?? []);
  }

  /** Drops everything; the caller has to settle the tickets. */
  clear(): void {
    this.#control = [];
    this.#normal = [];
    this.#keyed.clear();
    this.#plain = 0;
    this.#offer = undefined;
    this.#headCount = undefined;
    this.#pending = false;
    this.#retries = 0;
  }

  /** The message to send now; the same one until `sent`. Undefined: nothing may be sent. */
  next(state: SendingState): Outgoing | undefined {
    if (this.#pending) return undefined;
    if (this.#offer !== undefined && !this.#mayStillGo(this.#offer, state)) {
      this.#offer = undefined;
      this.#retries = 0;
    }
    if (this.#offer === undefined || (this.#offer.lane === "normal" && this.#control.length > 0)) {
      this.#offer = this.#nextControl(state) ?? this.#nextNormal(state);
    }
    return this.#offer?.out;
  }

  #mayStillGo(offer: Offer, { epoch, synced }: SendingState): boolean {
    if (offer.lane === "normal") return synced;
    return offer.item === "again" || sameEpoch(offer.item.epoch, epoch);
  }

  #nextControl({ protocol, seconds, epoch }: SendingState): Offer | undefined {
    for (;;) {
      const item = this.#control[0];
      if (item === undefined) return undefined;
      if ("again" in item) {
        const out = { bytes: item.again, name: "NORMAL again" };
        return { lane: "control", out, item: "again" };
      }
      const body = sameEpoch(item.epoch, epoch) ? item.bodies.next() : undefined;
      if (body !== undefined && body.done !== true) {
        const parts = { type: item.type, epoch: item.epoch, body: body.value };
        const bytes = encodeControl({ protocol, time: seconds }, parts);
        return { lane: "control", out: { bytes, name: typeName(item.type) }, item };
      }
      this.#control.shift();
    }
  }

  #nextNormal({ protocol, seconds, synced }: SendingState): Offer | undefined {
    const item = this.#normal[0];
    if (item === undefined || !synced) return undefined;
    const count = (this.#headCount ??= ++this.#count);
    if (item.key !== undefined) this.#keyed.delete(item.key);
    const { subtype, body } = item;
    const bytes = encodeNormal({ protocol, time: seconds }, { subtype, count, body });
    return { lane: "normal", out: { bytes, name: `NORMAL ${subtype}` }, item };
  }

  /** The outcome of the message that `next` returned; `error`: of corosync, when it failed. */
  sent(outcome: SendOutcome, error = "refused"): SendReport {
    const offer = this.#offer;
    if (offer === undefined) return {};
    this.#pending = outcome === "pending";
    if (this.#pending) return this.#underWay(offer);
    if (outcome === "again") {
      this.#retries++;
      this.#allRetries++;
      const hasCaller = offer.lane === "normal" && offer.item.ticket !== undefined;
      if (!hasCaller || this.#retries < MAX_RETRIES) return this.#retryLine(offer);
    }
    return this.#finished(offer, outcome === "again" ? "CS_ERR_TRY_AGAIN" : error, outcome);
  }

  /** The message may come back before corosync has answered its last fragment. */
  #underWay(offer: Offer): SendReport {
    if (offer.lane !== "normal") return {};
    return { sent: { item: offer.item, count: this.#headCount ?? 0n } };
  }

  #finished(offer: Offer, error: string, outcome: SendOutcome): SendReport {
    const retries = this.#retries;
    const count = this.#headCount ?? 0n;
    this.#offer = undefined;
    this.#retries = 0;
    if (offer.lane === "normal") this.#dropHead();
    else if (offer.item === "again") this.#control.shift();
    const { name, bytes } = offer.out;
    // C's words first.
    const line = `cpg_send_message retried ${retries} times (${name})`;
    const report = retries === 0 ? {} : { line };
    if (outcome === "sent") {
      this.#sentMessages++;
      this.#sentBytes += bytes.length;
      return offer.lane === "normal" ? { ...report, sent: { item: offer.item, count } } : report;
    }
    const failure = `cpg_send_message failed: ${error} (${name})`;
    if (offer.lane === "normal") return { ...report, failure, failed: offer.item };
    return mayBeMissing(offer.item)
      ? { ...report, failure }
      : { ...report, failure, missing: name };
  }

  #dropHead(): void {
    const head = this.#normal.shift();
    if (head !== undefined && isPlain(head)) this.#plain--;
    this.#headCount = undefined;
    if (this.#offer?.lane !== "normal") return;
    this.#offer = undefined;
    this.#retries = 0;
  }

  #retryLine({ out }: Offer): SendReport {
    if (this.#retries % RETRIES_PER_LINE !== 0) return {};
    return { line: `cpg_send_message retry ${this.#retries} (${out.name})` };
  }
}
