/**
 * Messages that corosync has not taken yet. Two lanes: messages of the protocol (and own NORMAL
 * messages that are sent again before a synchronisation) go first; NORMAL messages go in the order
 * of their counts and only while the mode is SYNCED, so that a member that lags never puts a
 * change into the order that others apply before it can (docs/internals/replication.md).
 *
 * A message of the protocol is dropped when its epoch is over: it would be ignored everywhere.
 * UPDATEs come from an iterator, so that a large tree is not copied at once.
 */
import type { Outgoing, SendOutcome } from "./events.ts";
import { encodeControl, encodeNormal, sameEpoch, typeName, type Epoch } from "./message.ts";

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

/** Messages that wait and have neither ticket nor key (log entries): the latest so many. */
const MOST_PLAIN = 1000;

/** Retries after which a NORMAL message is given up, 100 ms each. */
const MOST_RETRIES = 100;
/** A log line each so many retries. */
const RETRIES_PER_LINE = 10;

/** What `next` needs to know. */
export interface SendingState {
  readonly protocol: number;
  readonly seconds: number;
  readonly epoch: Epoch;
  /** NORMAL messages may go. */
  readonly synced: boolean;
}

/** A message that was offered, and where it came from. */
type Offer =
  | { readonly lane: "control"; readonly out: Outgoing; readonly item: ControlItem | "again" }
  | { readonly lane: "normal"; readonly out: Outgoing; readonly item: NormalItem };

/** What came of the last offer, for the machine. */
export interface SendReport {
  /** A line for administrators. */
  readonly line?: string;
  /** This NORMAL message is under way with this count. */
  readonly sent?: { readonly item: NormalItem; readonly count: bigint };
  /** This one was given up. */
  readonly failed?: NormalItem;
}

export class Outbox {
  #control: (ControlItem | { readonly again: Buffer })[] = [];
  #normal: Waiting[] = [];
  /** Those that a later message with their key may still change. */
  readonly #keyed = new Map<string, Waiting>();
  #plain = 0;
  #offer: Offer | undefined;
  /** corosync has a part of the offered message: nothing else goes before it has all. */
  #pending = false;
  #retries = 0;
  /** Of the last NORMAL message that was offered; never reset. */
  #count = 0n;
  /** The count of the first in the lane, once it was offered. */
  #headCount: bigint | undefined;
  #sentMessages = 0;
  #sentBytes = 0;
  #allRetries = 0;

  /** Messages that wait; UPDATEs of one synchronisation count once. */
  get length(): number {
    return this.#control.length + this.#normal.length;
  }

  /** Tries of the message that is offered now. */
  get retries(): number {
    return this.#retries;
  }

  /** Since the start: messages, bytes, and how often corosync had to be asked again. */
  get totals(): { messages: number; bytes: number; retries: number } {
    return { messages: this.#sentMessages, bytes: this.#sentBytes, retries: this.#allRetries };
  }

  addControl(type: number, epoch: Epoch, bodies: Iterator<Uint8Array>): void {
    this.#control.push({ type, epoch, bodies });
  }

  /** An own NORMAL message that the others throw away too: once more, as it was. */
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
    else if (item.ticket === undefined && ++this.#plain > MOST_PLAIN) this.#dropPlain();
  }

  /** The oldest log entry goes, unless it is on its way. */
  #dropPlain(): void {
    const at = this.#normal.findIndex(
      ({ key, ticket }, index) => index > 0 && key === undefined && ticket === undefined,
    );
    if (at < 0) return;
    this.#normal.splice(at, 1);
    this.#plain--;
  }

  /** Takes a NORMAL message back; false when corosync has it, or a part of it. */
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

  /** Forgets all; the callers' tickets are the machine's to settle. */
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

  /** The outcome of the message that `next` gave. */
  sent(outcome: SendOutcome): SendReport {
    const offer = this.#offer;
    if (offer === undefined) return {};
    this.#pending = outcome === "pending";
    if (this.#pending) return {};
    if (outcome === "again") {
      this.#retries++;
      this.#allRetries++;
      if (offer.lane === "control" || this.#retries < MOST_RETRIES) return this.#retryLine(offer);
    }
    return this.#finished(offer, outcome);
  }

  #finished(offer: Offer, outcome: SendOutcome): SendReport {
    const retries = this.#retries;
    const count = this.#headCount ?? 0n;
    this.#offer = undefined;
    this.#retries = 0;
    if (offer.lane === "normal") this.#dropHead();
    else if (offer.item === "again") this.#control.shift();
    const { name, bytes } = offer.out;
    if (outcome === "sent") {
      this.#sentMessages++;
      this.#sentBytes += bytes.length;
      const line = `cpg_send_message retried ${retries} times (${name})`;
      const report = retries < RETRIES_PER_LINE ? {} : { line };
      return offer.lane === "normal" ? { ...report, sent: { item: offer.item, count } } : report;
    }
    const why = outcome === "again" ? `gave up after ${retries} tries` : "corosync refused it";
    const line = `cpg_send_message failed (${name}): ${why}`;
    return offer.lane === "normal" ? { line, failed: offer.item } : { line };
  }

  #dropHead(): void {
    const head = this.#normal.shift();
    if (head !== undefined && head.key === undefined && head.ticket === undefined) this.#plain--;
    this.#headCount = undefined;
    if (this.#offer?.lane === "normal") this.#offer = undefined;
  }

  #retryLine({ out }: Offer): SendReport {
    if (this.#retries % RETRIES_PER_LINE !== 0) return {};
    return {
      line: `cpg_send_message retry ${this.#retries} (${out.name}): corosync takes no messages`,
    };
  }
}
