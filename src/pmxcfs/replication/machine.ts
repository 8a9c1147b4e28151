/**
 * The interface of a group's replicated state machine (`dfsm.c`). The machine is pure: it takes
 * events with their time, and returns effects, to be carried out in order, and messages to
 * multicast, one at a time:
 *
 *   before the messages of one turn, if wanted:   machine.gather(); after them, before all else:
 *                                                 effects = machine.store()
 *   for each event of corosync, and once a second: effects = machine.deliver(...); carry them out
 *   after each of these, and after each outcome:  out = machine.next(at); mcast it;
 *                                                 effects = machine.sent(outcome)
 *   while machine.busy, between other work:       effects = machine.work()
 *   while machine.holding:                        no further event
 *
 * Events of one group are passed in corosync's order. A send that must be retried does not delay
 * events; a message that is obsolete by the time it could be sent is dropped (outbox.ts).
 */
import { Errno } from "../../base/errno.ts";
import { protocolLeave, type Application, type NormalSend } from "./application.ts";
import {
  type Confchg,
  type Effect,
  type Instant,
  type Member,
  Mode,
  type Outgoing,
  type Proposed,
  type SendOutcome,
} from "./events.ts";
import { describeStatus, StallReport, type GroupStatus } from "./group-status.ts";
import { type Epoch, isNormal } from "./message.ts";
import { Protocol } from "./protocol.ts";
import { Sending } from "./sending.ts";

export interface MachineOptions {
  /** The pid is the one given to corosync's join. */
  readonly self: Member;
  readonly application: Application;
  readonly startedAt: Instant;
  /** Milliseconds a change may wait for its answer; 30 s unless given. */
  readonly deadlineMs?: number;
  /** The name of a node, for log lines. */
  readonly nameOf?: (nodeid: number) => string | undefined;
}

export class Dfsm {
  readonly #sending: Sending;
  readonly #protocol: Protocol;
  readonly #stall: StallReport;
  readonly #application: Application;
  #effects: Effect[] = [];
  #gathers = false;
  /** Answers to changes that are not stored yet. */
  #unstored: Effect[] = [];

  constructor({ self, application, startedAt, deadlineMs, nameOf }: MachineOptions) {
    const emit = (effect: Effect) => void this.#effects.push(effect);
    const sending = new Sending(application, emit, deadlineMs);
    this.#application = application;
    this.#sending = sending;
    this.#protocol = new Protocol({ self, application, sending, startedAt, emit });
    this.#stall = new StallReport(application.whileSyncing, nameOf);
  }

  get mode(): Mode {
    return this.#protocol.facts.mode;
  }

  /** True while `work` has something to do: an unfinished event, digests, or a checksum. */
  get busy(): boolean {
    return this.#protocol.busy;
  }

  /**
   * True while an event is unfinished (the commit of a sync takes several turns): the next event
   * has to wait. If it is passed nevertheless, the rest of the unfinished one is done first.
   */
  get holding(): boolean {
    return this.#protocol.steps.pending;
  }

  /** `work` has nothing to do before another thread is ready: ask it again in a millisecond. */
  get waits(): boolean {
    return this.#protocol.steps.waits;
  }

  /** The members changed. */
  confchg(change: Confchg, at: Instant): Effect[] {
    this.#store();
    this.#protocol.confchg(change, at);
    return this.#take();
  }

  /** A message of the group. `bytes` is valid only during the call. */
  deliver(from: Member, bytes: Uint8Array, at: Instant): Effect[] {
    const message = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const isChange = this.mode === Mode.synced && isNormal(message);
    // The other messages are about the state that is stored.
    if (!isChange) this.#store();
    this.#protocol.deliver(from, message, at);
    return this.#take();
  }

  /**
   * The changes that are delivered from now on are stored together by `store`, one transaction
   * instead of many, and their callers are answered then. Any other event ends that. False in a
   * group that stores nothing, and while an event is unfinished.
   */
  gather(): boolean {
    if (this.#application.store === undefined || this.holding) return false;
    this.#application.gather?.();
    this.#gathers = true;
    return true;
  }

  /**
   * Stores the changes that were gathered. When that fails, their callers get EIO, and this node
   * leaves: its memory has the changes, as the other nodes have, until they can be stored.
   */
  store(): Effect[] {
    this.#store();
    return this.#take();
  }

  #store(): void {
    if (!this.#gathers) return;
    this.#gathers = false;
    const leave = this.#application.store?.();
    const answers = this.#unstored;
    this.#unstored = [];
    this.#effects.unshift(...(leave === undefined ? answers : answers.map(unstored)));
    if (leave !== undefined) this.#protocol.leave(leave);
  }

  /** Called once a second: deadlines, the hourly verification, log lines about a stalled sync. */
  tick(at: Instant): Effect[] {
    if (!this.#protocol.failed) {
      this.#sending.tick(this.#protocol.phase, at);
      this.#protocol.tick(at);
      for (const text of this.#stall.lines(this.#protocol.facts, at)) {
        this.#effects.push({ kind: "log", level: "warn", text });
      }
    }
    return this.#take();
  }

  /** Does one step of the pending work, about a millisecond. */
  work(): Effect[] {
    this.#protocol.work();
    return this.#take();
  }

  /**
   * A change whose caller waits: its answer comes as a `settled` effect. EBUSY at once while this
   * node is out of the group, or while an earlier change is overdue. Held, not sent, until the
   * mode is SYNCED.
   */
  propose(change: NormalSend, at: Instant): Proposed {
    return this.#protocol.failed ? Errno.EBUSY : this.#sending.propose(change, at);
  }

  /** A message without a waiter; dropped when this node is out of the group. */
  send(message: NormalSend): void {
    if (!this.#protocol.failed) this.#sending.send([message]);
  }

  /** The caller of `ticket` gave up; true when the change will not be applied on any node. */
  withdraw(ticket: number): boolean {
    return this.#sending.withdraw(ticket);
  }

  /**
   * Takes back all NORMAL messages that corosync has no part of; callers get `result`. For a group
   * whose members leave at a message that arrives now: quorum is lost.
   */
  refuseUnsent(result: Errno): Effect[] {
    this.#sending.refuseUnsent(result);
    return this.#take();
  }

  /** Asks for a verification now; false when that is not possible (protocol.ts). */
  verify(): boolean {
    return this.#protocol.verify();
  }

  /** The message to multicast now; the same one until `sent`. Call it again after every event. */
  next(at: Instant): Outgoing | undefined {
    return this.#sending.next(this.#protocol.phase, at);
  }

  /**
   * The outcome of the message that `next` returned; `error`: of corosync, when it failed. As in C,
   * this node leaves when one is refused that the others wait for: they would wait without limit.
   */
  sent(outcome: SendOutcome, error?: string): Effect[] {
    const missing = this.#sending.sent(outcome, error);
    if (missing !== undefined) {
      this.#protocol.steps.finish();
      this.#protocol.leave(protocolLeave(`failed to send ${missing} message`));
    }
    return this.#take();
  }

  /** Called before a join on a new connection: answers waiters EBUSY. Counters are not reset. */
  restart(at: Instant): Effect[] {
    this.#store();
    this.#protocol.restart(at);
    return this.#take();
  }

  /** The nodes that quorum has. A silent member of another node is a ghost (group-status.ts). */
  quorumView(nodeids: readonly number[]): void {
    this.#stall.quorumView(nodeids);
  }

  /** The group as administrators see it. */
  status(at: Instant): GroupStatus {
    const { facts } = this.#protocol;
    return describeStatus(facts, this.#sending.status(at), this.#stall.missing(facts, at), at);
  }

  /**
   * Starts in the middle, as a recording does: SYNCED among `members`, in `epoch`, after `counter`
   * confchgs.
   */
  resume(members: readonly Member[], epoch: Epoch, counter: number, at: Instant): void {
    this.#protocol.resume(members, epoch, counter, at);
  }

  #take(): Effect[] {
    const effects = this.#effects;
    this.#effects = [];
    if (!this.#gathers) return effects;
    this.#unstored.push(...effects.filter(isAnswer));
    return effects.filter((effect) => !isAnswer(effect));
  }
}

function isAnswer({ kind }: Effect): boolean {
  return kind === "settled";
}

/** The answer to a change that was applied, and could not be stored. */
function unstored(answer: Effect): Effect {
  const isApplied = answer.kind === "settled" && answer.result >= 0;
  return isApplied ? { ...answer, result: Errno.EIO } : answer;
}
