/**
 * One replicated group on one connection to corosync: joins, feeds the machine (machine.ts) with
 * events in their order, carries out its effects, and leaves and joins again on another
 * connection when it must. C counterpart: dfsm.c, dfsm_initialize and the service callbacks.
 */
import { Errno } from "../../../base/errno.ts";
import { Histogram } from "../../../base/histogram.ts";
import type { Log } from "../../../base/log.ts";
import { giveWay, inAMillisecond } from "../../../base/turns.ts";
import { unixSeconds } from "../../../platform/clock.ts";
import type { Confchg } from "../../../corosync/cpg-events.ts";
import { CpgGroup } from "../../../corosync/cpg.ts";
import { csErrorName, CsFailure } from "../../../corosync/cs-error.ts";
import type { NormalSend } from "../application.ts";
import {
  type Effect,
  type Instant,
  type LeaveReason,
  type Member,
  Mode,
  sameMember,
} from "../events.ts";
import type { GroupStatus } from "../group-status.ts";
import type { Dfsm } from "../machine.ts";
import { isNormal } from "../message.ts";
import type { GroupEvent, GroupServiceOptions } from "./group-options.ts";
import { GroupSender } from "./group-sender.ts";
import { finalizeGroup, joinGroup, leaveGroup } from "./membership.ts";
import { RejoinPolicy } from "./rejoin-policy.ts";
import type { ClusterService } from "./service.ts";

const NS_PER_MS = 1e6;

/** Counts and times since the start. */
export interface GroupTimes {
  /** Synchronisations after which this node was synced. */
  readonly syncs: number;
  readonly syncMs: number;
  /** Changes of this node, from their proposal to their answer, in ns. */
  readonly changes: Histogram;
}

/** The present time, for the machine of a group. */
export function instantNow(): Instant {
  return { seconds: unixSeconds() >>> 0, ms: performance.now() };
}

export class GroupService implements ClusterService {
  readonly name: string;
  readonly call = "cpg_initialize";
  /** Called with each event, if set. */
  observer: ((event: GroupEvent) => void) | undefined;
  readonly #options: GroupServiceOptions;
  readonly #log: Log;
  readonly #policy = new RejoinPolicy();
  readonly #waiters = new Map<number, (result: number) => void>();
  #self: Member | undefined;
  #machine: Dfsm | undefined;
  #cpg: CpgGroup | undefined;
  #sender: GroupSender | undefined;
  #syncedSince: number | undefined;
  /** Begin of the synchronisation that is not complete. */
  #syncingSince: number | undefined;
  readonly #times = { syncs: 0, syncMs: 0, changes: new Histogram() };
  #leaving = false;
  /** Called at the confchg without this process. */
  #left: (() => void) | undefined;
  #working = false;
  /** Resumes the delivery of events. */
  #eventOver: (() => void) | undefined;
  #appliesForOthers = false;
  #storesSoon = false;
  #stopped = false;

  constructor(options: GroupServiceOptions) {
    this.#options = options;
    this.name = options.name;
    this.#log = options.log.tagged(options.name);
  }

  /** Also true while the node stays out on purpose, so that the supervisor does not start it. */
  get isUp(): boolean {
    if (this.#cpg !== undefined || this.#leaving || this.#stopped) return true;
    return !this.#policy.mayJoin(performance.now()) || this.#options.works?.() === false;
  }

  /** True between a join and the end of its connection. */
  get connected(): boolean {
    return this.#cpg !== undefined;
  }

  get mode(): Mode {
    return this.#cpg === undefined ? Mode.start : (this.#machine?.mode ?? Mode.start);
  }

  /** The group as administrators see it; undefined before the first connection. */
  get status(): GroupStatus | undefined {
    return this.#machine?.status(instantNow());
  }

  get times(): GroupTimes {
    return this.#times;
  }

  async start(): Promise<CsFailure | undefined> {
    const cpg = await CpgGroup.connect(this.#options.group, {
      beforeEvent: this.#options.beforeEvent,
      deliver: (from, message) => this.#deliver(from, message),
      confchg: (change) => this.#confchg(change),
      dropped: (why) => this.#log.warn(`dropped: ${why}`),
      ended: (failure) => this.#ended(failure),
    });
    if (cpg instanceof CsFailure) return cpg;
    if (this.#stopped) {
      cpg.close();
      return undefined;
    }
    this.#cpg = cpg;
    let joined = false;
    try {
      const machine = this.#machineFor({ nodeid: cpg.nodeid, pid: cpg.pid });
      const carryOut = (effects: readonly Effect[]): void => this.#carryOut(effects);
      this.#sender = new GroupSender({ machine, cpg, now: instantNow, carryOut });
      await this.#options.beforeJoin?.();
      const failure = await joinGroup(cpg);
      joined = failure === undefined;
      // Events before the answer may have made it leave: the policy then keeps the reason.
      if (joined && this.#cpg === cpg && !this.#leaving) this.#policy.joined();
      return failure;
    } finally {
      if (!joined) this.#end();
    }
  }

  /** The machine of this node, ready to join: a new one, or the last one, restarted. */
  #machineFor(self: Member): Dfsm {
    const known = this.#self?.nodeid === self.nodeid ? this.#machine : undefined;
    const machine = known ?? this.#options.machineOf(self);
    this.#self = self;
    this.#machine = machine;
    if (known !== undefined) this.#carryOut(known.restart(instantNow()));
    return machine;
  }

  /**
   * A change whose caller waits: its result, or EBUSY, as Dfsm.propose. EINTR when `signal` ends
   * the wait: the change may still happen.
   */
  propose(change: NormalSend, signal?: AbortSignal): number | Promise<number> {
    const machine = this.#machine;
    if (machine === undefined || this.#cpg === undefined) return Errno.EBUSY;
    const proposed = machine.propose(change, instantNow());
    if (typeof proposed === "number") return proposed;
    const { ticket } = proposed;
    const start = performance.now();
    const result = new Promise<number>((resolve) => {
      this.#waiters.set(ticket, (value) => {
        this.#times.changes.record((performance.now() - start) * NS_PER_MS);
        resolve(value);
      });
    });
    const abort = (): void => {
      machine.withdraw(ticket);
      this.#settle(ticket, Errno.EINTR);
    };
    if (signal?.aborted === true) abort();
    else signal?.addEventListener("abort", abort, { once: true });
    this.#sender?.pumpSoon();
    return result;
  }

  /** A message without a waiter. Dropped while not connected: the next sync transfers it. */
  send(message: NormalSend): void {
    if (this.#cpg === undefined) return;
    this.#machine?.send(message);
    this.#sender?.pumpSoon();
  }

  /** Asks for a verification; false when it is not possible now. */
  verify(): boolean {
    const asked = this.#machine?.verify() ?? false;
    this.#sender?.pump();
    return asked;
  }

  /** The nodes that quorum has. `refusal`: answers changes that were not sent yet (machine.ts). */
  quorumView(nodes: readonly number[], refusal?: Errno): void {
    this.#machine?.quorumView(nodes);
    if (refusal !== undefined) this.#carryOut(this.#machine?.refuseUnsent(refusal) ?? []);
  }

  tick(): void {
    if (this.#machine === undefined || this.#cpg === undefined) return;
    this.#after(this.#machine.tick(instantNow()));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    const cpg = this.#cpg;
    if (cpg === undefined) return;
    if ((await this.#leaveGroup(cpg)) && !cpg.closed) await finalizeGroup(cpg);
    this.#end();
  }

  /** True while a change of another node is applied, which the kernel of this node did not make. */
  get appliesForOthers(): boolean {
    return this.#appliesForOthers;
  }

  /** A promise when the next event must wait for the end of this one. */
  #deliver(from: Member, message: Buffer): void | Promise<void> {
    this.observer?.({ kind: "message", from, message });
    const machine = this.#machine;
    if (machine === undefined) return undefined;
    this.#appliesForOthers = !this.#isOwnChange(from, message);
    this.#gather(machine);
    this.#after(machine.deliver(from, message, instantNow()));
    this.#appliesForOthers = false;
    return machine.holding ? this.#eventEnd() : undefined;
  }

  /** The changes of one turn of the event loop are stored together, at its end. */
  #gather(machine: Dfsm): void {
    if (!machine.gather() || this.#storesSoon) return;
    this.#storesSoon = true;
    queueMicrotask(() => {
      this.#storesSoon = false;
      this.#after(machine.store());
    });
  }

  /** False for the messages that end a synchronisation: they apply what others sent meanwhile. */
  #isOwnChange(from: Member, message: Buffer): boolean {
    const isOwn = this.#self !== undefined && sameMember(from, this.#self);
    return isOwn && isNormal(message);
  }

  async #eventEnd(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#eventOver = resolve;
    await promise;
  }

  async #confchg(change: Confchg): Promise<void> {
    const cpg = this.#cpg;
    await this.#options.beforeConfchg();
    // The connection may have ended meanwhile: its events do not belong to the next one.
    if (this.#cpg !== cpg) return;
    if (this.#machine === undefined || this.#self === undefined) return;
    const { nodeid, pid } = this.#self;
    this.observer?.({ kind: "members", members: change.members });
    const isIn = change.members.some((member) => member.nodeid === nodeid && member.pid === pid);
    // A leave that was requested is complete: the machine does not need this event.
    if (!isIn && this.#left !== undefined) return this.#left();
    this.#appliesForOthers = true;
    this.#after(this.#machine.confchg(change, instantNow()));
    this.#appliesForOthers = false;
    if (this.#machine.holding) await this.#eventEnd();
  }

  /** To be called with the effects of each call of the machine. */
  #after(effects: readonly Effect[]): void {
    this.#carryOut(effects);
    this.#sender?.pump();
    if (this.#machine?.holding !== true) this.#endEvent();
    this.#work();
  }

  #endEvent(): void {
    this.#eventOver?.();
    this.#eventOver = undefined;
  }

  #carryOut(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.kind === "log") this.#log[effect.level](effect.text);
      else if (effect.kind === "settled") this.#settle(effect.ticket, effect.result);
      else if (effect.kind === "leave") void this.#leave(effect.reason);
      else this.#enter(effect.mode);
    }
  }

  #enter(mode: Mode): void {
    const at = performance.now();
    if (mode === Mode.synced) {
      this.#times.syncs++;
      this.#times.syncMs += at - (this.#syncingSince ?? at);
      this.#syncedSince = at;
      this.#syncingSince = undefined;
    } else if (mode !== Mode.leave && mode !== Mode.versionError) {
      // A node that leaves passes this time with the reason (`#leave`).
      this.#policy.synced(this.#endSynced(at));
      this.#syncingSince = mode === Mode.start ? undefined : (this.#syncingSince ?? at);
    }
    this.#options.syncing(mode === Mode.startSync || mode === Mode.update);
    this.observer?.({ kind: "mode", mode });
  }

  #settle(ticket: number, result: number): void {
    this.#waiters.get(ticket)?.(result);
    this.#waiters.delete(ticket);
  }

  /** Does the machine's long work, one step per turn of the event loop. */
  #work(): void {
    if (this.#working || this.#machine?.busy !== true) return;
    this.#working = true;
    const later = this.#machine.waits ? inAMillisecond : setImmediate;
    later(() => {
      this.#working = false;
      const machine = this.#machine;
      if (machine === undefined || this.#cpg === undefined) return;
      const began = performance.now();
      // The rest of an event applies others' changes, or the leader's tree.
      this.#appliesForOthers = machine.holding;
      this.#after(machine.work());
      this.#appliesForOthers = false;
      giveWay(performance.now() - began);
    });
  }

  async #leave(reason: LeaveReason): Promise<void> {
    const cpg = this.#cpg;
    if (cpg === undefined || this.#leaving) return;
    this.#leaving = true;
    const at = performance.now();
    this.#policy.left(reason, this.#endSynced(at), at);
    await this.#leaveGroup(cpg);
    this.#disconnect();
    // After a newer protocol the node stays out; its mode, which shows that, is kept.
    if (reason !== "version") this.#abort();
    this.#leaving = false;
  }

  /** False when corosync does not answer. */
  async #leaveGroup(cpg: CpgGroup): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#left = resolve;
    const answered = await leaveGroup(cpg, promise);
    this.#left = undefined;
    return answered;
  }

  #ended(failure: CsFailure): void {
    if (this.#cpg === undefined || this.#stopped) return;
    this.#log.error(`cpg_dispatch failed: ${csErrorName(failure.error)} (${failure.message})`);
    this.#left?.();
    this.#end();
  }

  /** Closes the connection, and answers the callers: no deadline is checked without one. */
  #end(): void {
    this.#disconnect();
    this.#abort();
  }

  /** Answers all waiting callers EBUSY: nothing that was sent comes back on this connection. */
  #abort(): void {
    const effects = this.#machine?.restart(instantNow()) ?? [];
    // When this service stops, no connection follows: nothing is logged about one.
    this.#carryOut(this.#stopped ? effects.filter(({ kind }) => kind !== "log") : effects);
    this.#endEvent();
    for (const ticket of this.#waiters.keys()) this.#settle(ticket, Errno.EBUSY);
  }

  #disconnect(): void {
    this.#sender?.[Symbol.dispose]();
    this.#sender = undefined;
    this.#cpg?.close();
    this.#cpg = undefined;
    this.#policy.synced(this.#endSynced(performance.now()));
    this.#options.lost();
  }

  /** The node is not synced any more; returns for how long it was, in ms. */
  #endSynced(at: number): number {
    const since = this.#syncedSince ?? at;
    this.#syncedSince = undefined;
    return at - since;
  }
}
