/**
 * Messages of a replicated group (`dfsm.c`): one header, then either a NORMAL message of the
 * application or one of the six messages of the protocol itself. Layouts are data, offsets from
 * the message's start; a decoder checks every length before it reads.
 */
import { prefix, spanOf, u16, u32, u64, type Span } from "../../wire/struct.ts";

/** Message types. Only NORMAL has a subtype. */
export const Type = {
  normal: 0,
  syncStart: 1,
  state: 2,
  update: 3,
  updateComplete: 4,
  verifyRequest: 5,
  verify: 6,
} as const;

const NAMES = [
  "NORMAL",
  "SYNC_START",
  "STATE",
  "UPDATE",
  "UPDATE_COMPLETE",
  "VERIFY_REQUEST",
  "VERIFY",
];

/** `STATE`; a type that does not exist is shown by its number. */
export function typeName(type: number): string {
  return NAMES[type] ?? `type ${type}`;
}

const HEADER = { type: u16, subtype: u16, protocol: u32, time: u32, reserved: u32 } as const;
const Header = prefix(HEADER);
const Normal = prefix({ ...HEADER, count: u64 });
const Control = prefix({ ...HEADER, counter: u32, epochTime: u32, nodeid: u32, pid: u32 });

const HEADER_BYTES = Header.size;
const NORMAL_BYTES = Normal.size;
const CONTROL_BYTES = Control.size;
export const CHECKSUM_BYTES = 32;
const VERIFY_ID_BYTES = 8;

/** Identifies one synchronisation. Each confchg makes a new one; all four fields are compared. */
export interface Epoch {
  /** How many confchgs the process that made it had seen. */
  readonly counter: number;
  /** Unix seconds. */
  readonly time: number;
  readonly nodeid: number;
  readonly pid: number;
}

export const NO_EPOCH: Epoch = { counter: 0, time: 0, nodeid: 0, pid: 0 };

/** True when all 16 bytes are equal. */
export function sameEpoch(one: Epoch, other: Epoch): boolean {
  return (
    one.counter === other.counter &&
    one.time === other.time &&
    one.nodeid === other.nodeid &&
    one.pid === other.pid
  );
}

/** `1/3260/0000000A`: node, pid and counter, as C's log has them. */
export function epochText({ nodeid, pid, counter }: Epoch): string {
  return `${nodeid}/${pid}/${counter.toString(16).toUpperCase().padStart(8, "0")}`;
}

/** The header of every message. */
export interface MessageHeader {
  readonly type: number;
  readonly subtype: number;
  readonly protocol: number;
  /** The sender's unix seconds. */
  readonly time: number;
}

/** A message of the application. */
export interface NormalMessage {
  readonly subtype: number;
  readonly time: number;
  /** The sender's own counter: 1 for its first message in this group. */
  readonly count: bigint;
  /** A view into the message; copy what is kept. */
  readonly body: Buffer;
}

/** A message of the protocol. */
export interface ControlMessage {
  readonly type: number;
  readonly epoch: Epoch;
  readonly body: Buffer;
}

/** The header; undefined for a message that is shorter than one. */
export function decodeHeader(message: Buffer): MessageHeader | undefined {
  if (message.length < HEADER_BYTES) return undefined;
  const span = spanOf(message);
  return {
    type: Header.read.type(span),
    subtype: Header.read.subtype(span),
    protocol: Header.read.protocol(span),
    time: Header.read.time(span),
  };
}

/** Whether a message is one of the application. */
export function isNormal(message: Buffer): boolean {
  return message.length >= HEADER_BYTES && Header.read.type(spanOf(message)) === Type.normal;
}

/** A NORMAL message; undefined when it is too short to have a count. */
export function decodeNormal(message: Buffer): NormalMessage | undefined {
  if (message.length < NORMAL_BYTES) return undefined;
  const span = spanOf(message);
  return {
    subtype: Normal.read.subtype(span),
    time: Normal.read.time(span),
    count: Normal.read.count(span),
    body: message.subarray(NORMAL_BYTES),
  };
}

/** A message of the protocol; undefined when it is too short to have an epoch. */
export function decodeControl(message: Buffer): ControlMessage | undefined {
  if (message.length < CONTROL_BYTES) return undefined;
  const span = spanOf(message);
  const { read } = Control;
  return {
    type: read.type(span),
    epoch: {
      counter: read.counter(span),
      time: read.epochTime(span),
      nodeid: read.nodeid(span),
      pid: read.pid(span),
    },
    body: message.subarray(CONTROL_BYTES),
  };
}

/** Body of VERIFY_REQUEST and beginning of VERIFY: the number of the round. */
export interface Verify {
  readonly id: bigint;
  /** 32 bytes; empty in a request. */
  readonly checksum: Buffer;
}

/** Undefined unless `body` is exactly a number and `checksumBytes` bytes of checksum. */
export function decodeVerify(body: Buffer, checksumBytes: number): Verify | undefined {
  if (body.length !== VERIFY_ID_BYTES + checksumBytes) return undefined;
  return { id: body.readBigUInt64LE(0), checksum: body.subarray(VERIFY_ID_BYTES) };
}

/** The body of a VERIFY; without `checksum`, of a VERIFY_REQUEST. */
export function encodeVerifyBody(id: bigint, checksum?: Uint8Array): Buffer {
  const body = Buffer.alloc(VERIFY_ID_BYTES + (checksum?.length ?? 0));
  body.writeBigUInt64LE(id, 0);
  if (checksum !== undefined) body.set(checksum, VERIFY_ID_BYTES);
  return body;
}

/** `protocol` is the group's version, `time` the sender's unix seconds. */
export interface Stamping {
  readonly protocol: number;
  readonly time: number;
}

/** A NORMAL message: header, count of its sender, body of the application. */
export function encodeNormal(
  { protocol, time }: Stamping,
  { subtype, count, body }: { subtype: number; count: bigint; body: Uint8Array },
): Buffer {
  const message = Buffer.allocUnsafe(NORMAL_BYTES + body.length).fill(0, 0, NORMAL_BYTES);
  const span = spanOf(message);
  writeHeader(span, { type: Type.normal, subtype, protocol, time });
  Normal.write.count(span, count);
  message.set(body, NORMAL_BYTES);
  return message;
}

/** A message of types 1 to 6: header, epoch, body. */
export function encodeControl(
  { protocol, time }: Stamping,
  { type, epoch, body }: { type: number; epoch: Epoch; body: Uint8Array },
): Buffer {
  const message = Buffer.allocUnsafe(CONTROL_BYTES + body.length).fill(0, 0, CONTROL_BYTES);
  const span = spanOf(message);
  writeHeader(span, { type, subtype: 0, protocol, time });
  Control.write.counter(span, epoch.counter);
  Control.write.epochTime(span, epoch.time);
  Control.write.nodeid(span, epoch.nodeid);
  Control.write.pid(span, epoch.pid);
  message.set(body, CONTROL_BYTES);
  return message;
}

function writeHeader(span: Span, { type, subtype, protocol, time }: MessageHeader): void {
  Header.write.type(span, type);
  Header.write.subtype(span, subtype);
  Header.write.protocol(span, protocol);
  Header.write.time(span, time >>> 0);
}
