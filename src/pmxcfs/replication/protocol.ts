/**
 * The protocol of a replicated group (`dfsm.c`): a member's modes, what it does on a confchg and on
 * each type of message, and the order in which changes are applied. Its effects are collected by
 * machine.ts. The rules: docs/internals/replication.md.
 */
import type { Steps } from "../../base/steps.ts";
import { protocolLeave, type Application, type Leave, type MemberState } from "./application.ts";
import { APPLY_STEPS, EventSteps } from "./event-steps.ts";
import {
  memberText,
  membersText,
  Mode,
  sameMember,
  type Confchg,
  type Effect,
  type Instant,
  type Member,
} from "./events.ts";
import type { GroupFacts } from "./group-status.ts";
import { leaderLines, modeLine, queueLine, shortLine, strayLine } from "./log-lines.ts";
import {
  decodeControl,
  decodeHeader,
  decodeNormal,
  epochText,
  NO_EPOCH,
  sameEpoch,
  Type,
  type ControlMessage,
  type Epoch,
} from "./message.ts";
import { ArrivalQueue, copyOf, isFull, MessageQueue, type Queued } from "./queue.ts";
import { Roster, type Peer } from "./roster.ts";
import { once, thenCount, type Phase, type Sending } from "./sending.ts";
import { Verification, type VerifyStep } from "./verification.ts";

export interface ProtocolOptions {
  readonly self: Member;
  readonly application: Application;
  readonly sending: Sending;
  readonly startedAt: Instant;
  readonly emit: (effect: Effect) => void;
}

export class Protocol {
  readonly #self: Member;
  readonly #app: Application;
  readonly #sending: Sending;
  readonly #emit: (effect: Effect) => void;
  readonly #verification: Verification;
  readonly #roster = new Roster();
  readonly #queue = new MessageQueue();
  readonly #syncQueue = new ArrivalQueue();
  /** Of the event that is not over. */
  readonly steps = new EventSteps();
  #mode: Mode = Mode.start;
  #modeSince: number;
  #sameModeSince = 0;
  #epoch: Epoch = NO_EPOCH;
  #counter = 0;

  constructor(options: ProtocolOptions) {
    this.#self = options.self;
    this.#app = options.application;
    this.#sending = options.sending;
    this.#emit = options.emit;
    this.#verification = new Verification(options.startedAt.ms, this.#app.checksum !== undefined);
    this.#modeSince = options.startedAt.ms;
  }

  get phase(): Phase {
    return { epoch: this.#epoch, synced: this.#mode === Mode.synced };
  }

  /** True in an error mode: every event is ignored until `restart`. */
  get failed(): boolean {
    return this.#mode === Mode.leave || this.#mode === Mode.versionError;
  }

  get #isLowest(): boolean {
    return this.#roster.lowest === this.#self.nodeid;
  }

  /** The members changed. */
  confchg(change: Confchg, at: Instant): void {
    this.steps.finish();
    const { nodeid, pid } = this.#self;
    this.#counter = (this.#counter + 1) >>> 0;
    this.#epoch = { counter: this.#counter, time: at.seconds, nodeid, pid };
    this.#verification.drop();
    this.#syncQueue.clear();
    if (this.failed) return;
    this.#app.dropSync();
    this.#roster.set(change.members);
    const isMember = this.#roster.find(this.#self) !== undefined;
    if (!isMember && this.#mode === Mode.start) return;
    this.#log("info", `members: ${membersText(change.members)}`);
    const left = `we (${memberText(this.#self)}) left the process group`;
    if (!isMember) return this.leave(protocolLeave(left));
    this.#app.membersChanged(this.#roster.members, at);
    if (this.#roster.peers.length > 1) return this.#startSync(change, at);
    this.#roster.allSynced();
    this.#enter(Mode.synced, at);
    this.steps.begin(this.#deliverQueue(at));
  }

  #startSync(change: Confchg, at: Instant): void {
    if (change.joined.length > 0 && this.#queue.length > 0) {
      this.#log("info", `queue not emtpy - resening ${this.#queue.length} messages`);
      const own = this.#queue.takeAll().filter(({ from }) => sameMember(from, this.#self));
      for (const { bytes } of own) this.#sending.again(bytes);
    }
    this.#enter(Mode.startSync, at);
    if (this.#isLowest) this.#control(Type.syncStart, once());
  }

  /** A message of the group. `bytes` is valid only during the call. */
  deliver(from: Member, bytes: Buffer, at: Instant): void {
    this.steps.finish();
    if (this.failed) return;
    const header = decodeHeader(bytes);
    const sender = memberText(from);
    if (header === undefined) return this.#malformed(shortLine(bytes), sender);
    const peer = this.#roster.find(from);
    peer?.clock.add(header.time, at);
    const { protocol } = header;
    if (protocol > this.#app.protocol) {
      const newer = `received message with protocol version ${protocol}, sent by ${sender}`;
      return this.leave({ reason: "version", text: newer });
    }
    if (protocol < this.#app.protocol) {
      const older = `ignore message with wrong protocol version ${protocol}, sent by ${sender}`;
      return this.#log("info", older);
    }
    if (header.type === Type.normal) return this.#normal(from, peer, bytes, at);
    const control = decodeControl(bytes);
    if (control === undefined) return this.#malformed(shortLine(bytes), sender);
    if (control.type !== Type.syncStart && !sameEpoch(control.epoch, this.#epoch)) return;
    this.#controlled(from, peer, control, at);
  }

  #normal(from: Member, peer: Peer | undefined, bytes: Buffer, at: Instant): void {
    const message = decodeNormal(bytes);
    if (message === undefined) return this.#malformed(shortLine(bytes), memberText(from));
    if (this.#mode === Mode.synced) return void this.#apply({ from, bytes, message }, at);
    if (peer === undefined) {
      const text = `dfsm_node_info_lookup failed: message from non-member ${memberText(from)}`;
      return this.leave(protocolLeave(text));
    }
    const item = copyOf({ from, bytes, message });
    if (this.#mode === Mode.update && peer.synced) this.#syncQueue.push(item);
    else this.#queue.insert(item, this.#app.lifetimeOf?.(item.message, from));
    if (!isFull(this.#queue, this.#syncQueue)) return;
    const text = "too many messages wait for the synchronisation, the last of them from";
    this.leave(protocolLeave(`${text} ${memberText(from)}`));
  }

  #controlled(from: Member, peer: Peer | undefined, message: ControlMessage, at: Instant): void {
    const { type } = message;
    if (this.#mode === Mode.synced) {
      if (type === Type.updateComplete) return this.#othersComplete(at);
      if (type === Type.verifyRequest) return this.steps.begin(this.#verifyRequest(from, message));
      if (type === Type.verify) return this.#verified(this.#verification.received(message.body));
      // Unknown types too: a synced C server ignores them.
      return;
    } else if (this.#mode === Mode.startSync) {
      if (type === Type.syncStart) return this.#syncStart(from, message, at);
      if (type === Type.state) return this.#state(from, peer, message, at);
    } else if (this.#mode === Mode.update) {
      if (type === Type.update) return this.#update(message);
      if (type === Type.updateComplete) return this.steps.begin(this.#commit(at));
    }
    // Also a verification: C logs that it ignores it, and then leaves.
    this.#malformed(`${strayLine(message)} in mode ${this.#mode}`, memberText(from));
  }

  #syncStart(from: Member, { epoch }: ControlMessage, at: Instant): void {
    // Logged only: C follows it, too.
    if (from.nodeid !== this.#roster.lowest) {
      this.#log("error", `ignore sync request from wrong member ${memberText(from)}`);
    }
    this.#log("info", `received sync request (epoch ${epochText(epoch)})`);
    this.#epoch = epoch;
    this.#roster.syncStarted = true;
    this.#roster.dropStates();
    this.#control(Type.state, once(this.#app.state(at)));
  }

  #state(from: Member, peer: Peer | undefined, { body }: ControlMessage, at: Instant): void {
    const sender = memberText(from);
    if (peer === undefined) {
      return this.leave(protocolLeave(`received state for non-member ${sender}`));
    }
    if (peer.state !== undefined) {
      return this.leave(protocolLeave(`received duplicate state for member ${sender}`));
    }
    this.#roster.keepState(peer, body);
    const states = this.#roster.takeStates();
    if (states !== undefined) this.steps.begin(this.#compare(states, at));
  }

  /** All states have arrived: finds out which members are synced and which one leads. */
  *#compare(states: readonly MemberState[], at: Instant): Steps {
    this.#log("info", "received all states");
    const comparison = yield* this.#app.compare(states, this.#self, at);
    if ("reason" in comparison) return this.leave(comparison);
    const { peers } = this.#roster;
    for (const [index, peer] of peers.entries()) peer.synced = comparison.synced[index] ?? false;
    const { leader, updates } = comparison;
    this.#roster.leader = leader;
    for (const line of leaderLines(leader, peers)) this.#log("info", line);
    if (updates !== undefined) {
      this.#log("info", "start sending inode updates");
      const sent = (count: number) => this.#log("info", `sent all (${count}) updates`);
      this.#control(Type.update, thenCount(updates, sent));
      this.#control(Type.updateComplete, once());
    }
    this.#sending.send(comparison.sends ?? []);
    const synced = this.#roster.find(this.#self)?.synced === true;
    this.#enter(synced ? Mode.synced : Mode.update, at);
    return yield* this.#deliverQueue(at);
  }

  #update({ body }: ControlMessage): void {
    this.#roster.countUpdate(body.length);
    const leave = this.#app.keepUpdate(body);
    if (leave !== undefined) this.leave(leave);
  }

  *#commit(at: Instant): Steps {
    const got = `got ${this.#roster.updates} inode updates`;
    this.#log("info", `update complete - trying to commit (${got})`);
    const leave = yield* this.#app.commit(at);
    if (leave !== undefined) return this.leave(leave);
    this.#roster.allSynced();
    this.#enter(Mode.synced, at);
    const queued = this.#syncQueue.takeAll();
    if (queued.length > 0) this.#log("info", queueLine("sync_queue", queued.length));
    for (const item of queued) {
      if (this.failed) return undefined;
      yield this.#apply(item, at);
    }
    return yield* this.#deliverQueue(at);
  }

  #othersComplete(at: Instant): void {
    this.#roster.allSynced();
    this.steps.begin(this.#deliverQueue(at));
  }

  /** Applies each queued message of a synced member, keeps those of the others, drops the rest. */
  *#deliverQueue(at: Instant): Steps {
    if (this.#queue.length === 0) return;
    this.#log("info", queueLine("queue", this.#queue.length));
    for (const item of this.#queue.takeAll()) {
      const peer = this.#roster.find(item.from);
      if (this.failed) return;
      if (peer === undefined) {
        this.#log("info", `remove message from non-member ${memberText(item.from)}`);
      } else if (!peer.synced) {
        this.#queue.insert(item, this.#app.lifetimeOf?.(item.message, item.from));
      } else if (this.#mode !== Mode.synced) this.#syncQueue.push(item);
      else yield this.#apply(item, at);
    }
  }

  /** Applies one message; returns the cost in steps (base/steps.ts). */
  #apply({ from, message }: Queued, at: Instant): number {
    const applied = this.#app.apply(message, from, at);
    if (sameMember(from, this.#self)) {
      this.#sending.cameBack(message.count, applied.result);
    }
    this.#sending.send(applied.sends ?? []);
    if (applied.leave !== undefined) this.leave(applied.leave);
    return APPLY_STEPS;
  }

  *#verifyRequest(from: Member, { body }: ControlMessage): Steps {
    // The message may be overwritten after the first step.
    const request = Buffer.from(body);
    const noting = this.#app.checksum?.();
    const job = noting === undefined ? undefined : yield* noting;
    return this.#verified(this.#verification.requested(request, sameMember(from, this.#self), job));
  }

  #verified(step: VerifyStep): void {
    if (step.kind === "publish") this.#control(Type.verify, once(step.body));
    else if (step.kind === "equal") this.#log("info", "data verification successful");
    else if (step.kind === "unknown") this.#log("info", step.text);
    else if (step.kind === "malformed") this.leave(protocolLeave(step.text));
    else if (step.kind === "different") {
      this.leave({ reason: "mismatch", text: step.text });
    }
  }

  /** True while an event is unfinished, or digests or a checksum are to be computed. */
  get busy(): boolean {
    return this.steps.pending || this.#verification.busy || this.#app.busy === true;
  }

  /** Does one step of that, also while this node leaves or is out of the group. */
  work(): void {
    if (this.steps.pending) this.steps.work();
    else if (this.#verification.busy) this.#verified(this.#verification.work());
    else this.#app.work?.();
  }

  /** Called once a second: starts the hourly verification when it is due. */
  tick(at: Instant): void {
    if (this.#verification.due(at.ms)) this.verify();
  }

  /**
   * Requests a verification. False when a member is not synced (it would leave), when this node is
   * not the lowest (a C node that is would stop its own rounds), or its last request is under way.
   */
  verify(): boolean {
    const synced = this.#mode === Mode.synced && this.#roster.isSynced;
    const able = synced && this.#isLowest && this.#app.checksum !== undefined;
    const body = able ? this.#verification.request() : undefined;
    if (body !== undefined) this.#control(Type.verifyRequest, once(body));
    return body !== undefined;
  }

  /** Called before a join on a new connection: drops all that waits. Counters are not reset. */
  restart(at: Instant): void {
    this.steps.abort();
    this.#clearQueues();
    this.#roster.set([]);
    this.#app.dropSync();
    this.#verification.drop();
    this.#sending.abort();
    this.#enter(Mode.start, at);
  }

  /** Starts as a synced member of `members`, in `epoch`, after `counter` confchgs. */
  resume(members: readonly Member[], epoch: Epoch, counter: number, at: Instant): void {
    this.#roster.set(members, true);
    this.#epoch = epoch;
    this.#counter = counter;
    this.#app.membersChanged(this.#roster.members, at);
    this.#mode = Mode.synced;
  }

  get facts(): GroupFacts {
    return {
      mode: this.#mode,
      modeSince: this.#modeSince,
      sameModeSince: this.#sameModeSince,
      epoch: this.#epoch,
      roster: this.#roster,
      queued: this.#queue.length + this.#syncQueue.length,
      queuedBytes: this.#queue.bytes + this.#syncQueue.bytes,
    };
  }

  #clearQueues(): void {
    this.#queue.clear();
    this.#syncQueue.clear();
  }

  #control(type: number, bodies: Iterator<Uint8Array>): void {
    this.#sending.control(type, this.#epoch, bodies);
  }

  #enter(mode: Mode, at: Instant): void {
    const changed = mode !== this.#mode;
    this.#mode = mode;
    this.#modeSince = at.ms;
    if (!changed) return;
    this.#sameModeSince = at.ms;
    this.#log("info", modeLine(mode));
    this.#emit({ kind: "mode", mode });
    if (mode !== Mode.synced) return;
    this.#sending.recover();
    this.#sending.send(this.#app.synced(at));
  }

  #malformed(found: string, sender: string): void {
    this.leave(protocolLeave(`${found}, sent by ${sender}`));
  }

  /** Enters an error mode. No event may be unfinished but the one that calls this. */
  leave({ reason, text }: Leave): void {
    if (this.failed) return;
    this.#mode = reason === "version" ? Mode.versionError : Mode.leave;
    this.#log("error", text);
    this.#log("error", modeLine(this.#mode, reason));
    this.#clearQueues();
    this.#app.dropSync();
    this.#sending.abort();
    this.#emit({ kind: "mode", mode: this.#mode });
    this.#emit({ kind: "leave", reason });
  }

  #log(level: "info" | "error", text: string): void {
    this.#emit({ kind: "log", level, text });
  }
}
