/**
 * Sends the messages of a group's machine in its order: one message at a time, large ones in
 * fragments, and again when corosync refuses one for the moment. Holds the event loop for at most a
 * millisecond. C counterpart: dfsm.c, dfsm_send_message_full.
 */
import type { CpgGroup } from "../../../corosync/cpg.ts";
import { CsError, csErrorName } from "../../../corosync/cs-error.ts";
import { CPG_PIECE_BYTES } from "../../../corosync/layouts.ts";
import type { Effect, Instant, Outgoing, SendOutcome } from "../events.ts";
import type { Dfsm } from "../machine.ts";

const TURN_MS = 1;
/** A refused message is offered again after this, since the ring may be full for a moment only. */
const OFFER_AGAIN_MS = 2;
/** Refusals for this long count as one retry, as in C's log lines. */
const TRY_MS = 100;

/** The machine and connection that the sender serves; a new connection gets a new sender. */
export interface SenderOptions {
  readonly machine: Dfsm;
  readonly cpg: CpgGroup;
  readonly now: () => Instant;
  /** Carries out the machine's effects after a send. */
  readonly carryOut: (effects: readonly Effect[]) => void;
}

export class GroupSender implements Disposable {
  readonly #options: SenderOptions;
  readonly #aborted = new AbortController();
  #refusedSince: number | undefined;
  #timer: Timer | undefined;
  #scheduled = false;
  #soon = false;
  #pumping = false;
  #closed = false;

  constructor(options: SenderOptions) {
    this.#options = options;
  }

  /** Sends what can be sent now. Called after everything that may have given the machine work. */
  pump(): void {
    // Effects of a send may call this again; the loop that runs sends what they added.
    if (this.#pumping || this.#closed) return;
    this.#pumping = true;
    try {
      this.#options.cpg.together(() => this.#sendAll());
    } finally {
      this.#pumping = false;
    }
  }

  /**
   * As `pump`, at the end of this turn: requests that the kernel or clients hand over in one turn
   * are sent together.
   */
  pumpSoon(): void {
    if (this.#soon) return;
    this.#soon = true;
    queueMicrotask(() => {
      this.#soon = false;
      this.pump();
    });
  }

  #sendAll(): void {
    const until = performance.now() + TURN_MS;
    while (!this.#closed && this.#sendNext()) {
      if (performance.now() < until) continue;
      this.#schedule();
      return;
    }
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#aborted.abort();
  }

  /** True when the next message may be sent at once. */
  #sendNext(): boolean {
    const { machine, cpg, now } = this.#options;
    const out = machine.next(now());
    if (out === undefined) return false;
    if (out.bytes.byteLength > CPG_PIECE_BYTES) {
      void this.#sendLarge(out);
      return false;
    }
    const error = cpg.mcast(out.bytes);
    if (error === CsError.TRY_AGAIN) return this.#refused();
    this.#reportError(error);
    return true;
  }

  async #sendLarge(out: Outgoing): Promise<void> {
    const { cpg } = this.#options;
    this.#report("pending");
    const error = await cpg.mcastFragments(out.bytes, this.#aborted.signal);
    if (this.#closed) return;
    // The group changed during the send: the machine decides whether the message is still wanted.
    const again = error === CsError.INTERRUPT || error === CsError.TRY_AGAIN;
    if (again) this.#report("again");
    else this.#reportError(error);
    this.pump();
  }

  #refused(): false {
    const now = performance.now();
    this.#refusedSince ??= now;
    if (now - this.#refusedSince >= TRY_MS) {
      this.#report("again");
      this.#refusedSince = now;
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.pump(), OFFER_AGAIN_MS);
    return false;
  }

  #reportError(error: CsError): void {
    this.#report(error === CsError.OK ? "sent" : "failed", csErrorName(error));
  }

  #report(outcome: SendOutcome, error?: string): void {
    if (outcome !== "again") this.#refusedSince = undefined;
    this.#options.carryOut(this.#options.machine.sent(outcome, error));
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.pump();
    });
  }
}
