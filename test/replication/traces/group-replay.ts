// One group of one process during a replay: the machine gets the events that the C server got, and
// the messages that it offers are compared with those that the C server sent.
import type { Application } from "../../../src/pmxcfs/replication/application.ts";
import type { Effect, Instant, Member } from "../../../src/pmxcfs/replication/events.ts";
import { Dfsm } from "../../../src/pmxcfs/replication/machine.ts";
import {
  decodeControl,
  decodeHeader,
  Type,
  typeName,
} from "../../../src/pmxcfs/replication/message.ts";

const TIME_AT = 8;
const EPOCH_TIME_AT = 20;
const KEY_AT = 24;
const VALUE_AT = 280;
const KV_UPDATE = 1;

/** A message without the fields that may differ: its time; in SYNC_START also the epoch's. */
function masked(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  if (copy.length >= TIME_AT + 4) copy.writeUInt32LE(0, TIME_AT);
  const syncStart = copy.readUInt16LE(0) === Type.syncStart;
  if (syncStart && copy.length >= EPOCH_TIME_AT + 4) copy.writeUInt32LE(0, EPOCH_TIME_AT);
  return copy;
}

/** Key and value of a KV_UPDATE, without its count and the bytes after the key's NUL. */
function keyValue(bytes: Buffer): string {
  const end = bytes.indexOf(0, KEY_AT);
  const key = bytes.toString("latin1", KEY_AT, end);
  return `${key}=${bytes.toString("latin1", VALUE_AT)}`;
}

/** Type and subtype of a message. */
export function kindOf(bytes: Buffer): { type: number; subtype: number } {
  return decodeHeader(bytes) ?? { type: -1, subtype: 0 };
}

export class GroupReplay {
  readonly machine: Dfsm;
  readonly #left: (reason: string) => void;
  /** Differences, one line each. */
  readonly #report: (text: string) => void;
  /** Messages that the machine offered and the C server has not sent yet. */
  #wanted: Buffer[] = [];
  /** Messages that corosync refused (TRY_AGAIN): the C server gives up after 100 tries. */
  readonly #refused = new Set<string>();
  /** Own NORMAL messages as the C server sent them. */
  readonly #own = new Set<string>();

  constructor(
    self: Member,
    application: Application,
    at: Instant,
    hooks: { left: (reason: string) => void; report: (text: string) => void },
  ) {
    this.machine = new Dfsm({ self, application, startedAt: at });
    this.#left = hooks.left;
    this.#report = hooks.report;
  }

  /** Called after each event: carries out the effects, and collects the messages offered. */
  settle(effects: readonly Effect[], at: Instant): void {
    let todo = effects;
    for (;;) {
      for (const effect of todo) if (effect.kind === "leave") this.#left(effect.reason);
      if (!this.machine.busy) break;
      todo = this.machine.work();
    }
    for (let out = this.machine.next(at); out !== undefined; out = this.machine.next(at)) {
      this.#wanted.push(Buffer.from(out.bytes));
      this.machine.sent("sent");
    }
  }

  /** The C server tried to send this, and corosync refused it. */
  refused(bytes: Buffer): void {
    this.#refused.add(masked(bytes).toString("latin1"));
  }

  #wasRefused(bytes: Buffer): boolean {
    return this.#refused.has(masked(bytes).toString("latin1"));
  }

  /** The C server sent this. False when the machine did not offer it: it is a local change. */
  sent(bytes: Buffer): boolean {
    const { type, subtype } = kindOf(bytes);
    if (type === Type.normal) return this.#sentNormal(bytes, subtype);
    if (type === Type.verifyRequest) return true;
    const text = masked(bytes);
    const isThis = (want: Buffer) => masked(want).equals(text);
    this.#wanted = this.#wanted.filter((want) => isThis(want) || !this.#wasRefused(want));
    const controls = this.#wanted.filter((want) => kindOf(want).type !== Type.normal);
    const candidates = type === Type.update ? controls.filter(isUpdate) : controls.slice(0, 1);
    const found = candidates.find(isThis);
    if (found === undefined) {
      const [head] = controls;
      const instead = head === undefined ? "nothing" : differenceOf(head, bytes);
      this.#report(`sent ${nameOf(bytes)}, the machine wants ${instead}`);
      return false;
    }
    this.#wanted.splice(this.#wanted.indexOf(found), 1);
    return true;
  }

  #sentNormal(bytes: Buffer, subtype: number): boolean {
    const again = this.#wanted.find((want) => want.equals(bytes));
    const isKey = subtype === KV_UPDATE && bytes.length >= VALUE_AT;
    const found =
      again ??
      (isKey ? this.#wanted.find((want) => keyOf(want) === keyValue(bytes)) : undefined) ??
      this.#wanted.find((want) => kindOf(want).type === Type.normal && sameBody(want, bytes));
    if (found !== undefined) this.#wanted.splice(this.#wanted.indexOf(found), 1);
    const text = bytes.toString("latin1");
    if (again === undefined && this.#own.has(text)) {
      this.#report(`sent ${nameOf(bytes)} again, the machine does not want that`);
    }
    this.#own.add(text);
    return found !== undefined;
  }

  /** The group was left, or its process ended: messages still offered are dropped. */
  ended(): void {
    this.#wanted = [];
  }

  /** The recording ends: every message that the machine offered must have been sent. */
  finish(): void {
    for (const want of this.#wanted) {
      if (!this.#wasRefused(want)) this.#report(`did not send ${nameOf(want)}`);
    }
  }
}

function isUpdate(bytes: Buffer): boolean {
  return kindOf(bytes).type === Type.update;
}

function keyOf(bytes: Buffer): string | undefined {
  const { type, subtype } = kindOf(bytes);
  const isKey = type === Type.normal && subtype === KV_UPDATE && bytes.length >= VALUE_AT;
  return isKey ? keyValue(bytes) : undefined;
}

function sameBody(one: Buffer, other: Buffer): boolean {
  return (
    one.readUInt16LE(2) === other.readUInt16LE(2) && one.subarray(24).equals(other.subarray(24))
  );
}

function nameOf(bytes: Buffer): string {
  const { type, subtype } = kindOf(bytes);
  if (type === Type.normal) return `NORMAL ${subtype} (${bytes.length} bytes)`;
  const control = decodeControl(bytes);
  const epoch =
    control === undefined ? "" : ` epoch ${control.epoch.counter}@${control.epoch.nodeid}`;
  return `${typeName(type)}${epoch} (${bytes.length} bytes)`;
}

function differenceOf(ours: Buffer, theirs: Buffer): string {
  const [one, other] = [masked(ours), masked(theirs)];
  let at = 0;
  while (at < one.length && one[at] === other[at]) at++;
  return `${nameOf(ours)}, which differs from byte ${at} on`;
}
