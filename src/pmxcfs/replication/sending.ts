/**
 * What a member sends, and which callers wait for it: the outbox, the waiters, the deadline, and
 * the probe that finds out whether sends come back. Part of the machine (machine.ts), which passes
 * its mode and epoch with each call.
 */
import { counted } from "../../base/counted.ts";
import { Errno } from "../../base/errno.ts";
import type { Application, NormalSend } from "./application.ts";
import type { Effect, Instant, Outgoing, Proposed, SendOutcome } from "./events.ts";
import type { Epoch } from "./message.ts";
import { Outbox } from "./outbox.ts";
import { Waiters, type Settled } from "./waiters.ts";

/**
 * A change that is under way for this long is followed by a probe, a message that changes nothing:
 * when the probe comes back and the change has not, the change is lost.
 */
const PROBE_AFTER_MS = 5000;

/** The machine's epoch and mode. */
export interface Phase {
  readonly epoch: Epoch;
  readonly synced: boolean;
}

export interface SendingStatus {
  readonly outbox: number;
  readonly retries: number;
  readonly waiting: number;
  /** Milliseconds that the oldest change has waited. */
  readonly oldestMs: number;
  readonly stuck: boolean;
  readonly sent: { readonly messages: number; readonly bytes: number; readonly retries: number };
}

export class Sending {
  readonly #app: Application;
  readonly #emit: (effect: Effect) => void;
  readonly #outbox = new Outbox();
  readonly #waiters: Waiters;

  constructor(app: Application, emit: (effect: Effect) => void, deadlineMs?: number) {
    this.#app = app;
    this.#emit = emit;
    this.#waiters = new Waiters(deadlineMs);
  }

  /** A message of the protocol, or all UPDATEs of one synchronisation. */
  control(type: number, epoch: Epoch, bodies: Iterator<Uint8Array>): void {
    this.#outbox.addControl(type, epoch, bodies);
  }

  /** An own NORMAL message, byte for byte as before. */
  again(bytes: Buffer): void {
    this.#outbox.addAgain(bytes);
  }

  /** NORMAL messages without a waiter. */
  send(sends: readonly NormalSend[]): void {
    for (const item of sends) this.#outbox.addNormal(item);
  }

  /** A change whose caller waits; EBUSY while a change of ours is overdue. */
  propose(item: NormalSend, at: Instant): Proposed {
    if (this.#waiters.stuck) return Errno.EBUSY;
    const ticket = this.#waiters.add(at.ms);
    this.#outbox.addNormal({ ...item, ticket });
    return { ticket };
  }

  /**
   * The caller of `ticket` gave up. True: the change was taken back and will not be applied on any
   * node; false: it is under way and may still happen.
   */
  withdraw(ticket: number): boolean {
    this.#waiters.settle(ticket, 0);
    return this.#outbox.withdraw(ticket);
  }

  /** Takes back what corosync has no part of: no node applies it. Callers get `result`. */
  refuseUnsent(result: Errno): void {
    for (const ticket of this.#outbox.withdrawAll()) {
      this.#settle(this.#waiters.settle(ticket, result));
    }
  }

  /** The message to send now. */
  next(phase: Phase, at: Instant): Outgoing | undefined {
    const { protocol } = this.#app;
    return this.#outbox.next({ ...phase, protocol, seconds: at.seconds });
  }

  /** The outcome of the message that `next` returned; SendReport.missing. */
  sent(outcome: SendOutcome, error?: string): string | undefined {
    const { line, failure, sent, failed, missing } = this.#outbox.sent(outcome, error);
    if (line !== undefined) this.#emit({ kind: "log", level: "info", text: line });
    if (failure !== undefined) this.#emit({ kind: "log", level: "error", text: failure });
    if (sent?.item.ticket !== undefined) this.#waiters.sent(sent.item.ticket, sent.count);
    if (failed?.ticket !== undefined) {
      this.#settle(this.#waiters.settle(failed.ticket, Errno.EBUSY));
    }
    return missing;
  }

  /** Our message `count` was applied. */
  cameBack(count: bigint, result: number): void {
    this.#settle(this.#waiters.cameBack(count, result));
  }

  /** Synced again. */
  recover(): void {
    this.#waiters.recover();
  }

  /** This node leaves or joins again: nothing that it sent comes back. */
  abort(): void {
    this.#outbox.clear();
    this.#settle(this.#waiters.abort(Errno.EBUSY));
  }

  tick({ synced }: Phase, at: Instant): void {
    const due = this.#waiters.due(at.ms);
    for (const ticket of due) {
      this.#outbox.withdraw(ticket);
      this.#settle(this.#waiters.settle(ticket, Errno.EBUSY));
    }
    if (due.length > 0) this.#emit({ kind: "log", level: "error", text: overdue(due.length) });
    const since = this.#waiters.oldestSent ?? at.ms;
    const late = at.ms - since >= PROBE_AFTER_MS || this.#waiters.stuck;
    const probe = synced && late && this.#outbox.length === 0 ? this.#app.probe?.() : undefined;
    if (probe !== undefined) this.#outbox.addNormal(probe);
  }

  status(at: Instant): SendingStatus {
    return {
      outbox: this.#outbox.length,
      retries: this.#outbox.retries,
      waiting: this.#waiters.length,
      oldestMs: at.ms - (this.#waiters.oldest ?? at.ms),
      stuck: this.#waiters.stuck,
      sent: this.#outbox.totals,
    };
  }

  #settle(settled: readonly Settled[]): void {
    for (const { ticket, result } of settled) this.#emit({ kind: "settled", ticket, result });
  }
}

function overdue(count: number): string {
  return (
    `${counted(count, "change")} answered EBUSY, not confirmed by the cluster in time. ` +
    "Further changes are refused at once until a message of this node comes back"
  );
}

/** The one body of a control message; empty unless given. */
export function* once(body: Uint8Array = new Uint8Array(0)): Generator<Uint8Array> {
  yield body;
}

/** The same bodies; `done` is called with their number once corosync has taken the last one. */
export function* thenCount(
  bodies: Iterator<Uint8Array>,
  done: (count: number) => void,
): Generator<Uint8Array> {
  let count = 0;
  for (let next = bodies.next(); next.done !== true; next = bodies.next()) {
    count++;
    yield next.value;
  }
  done(count);
}
