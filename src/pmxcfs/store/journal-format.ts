/**
 * The format of the journal of `--commit batched`: a head that identifies the state of config.db it
 * continues, then one record for each change, with the command that made it. Little-endian.
 *
 * Head, 64 bytes: magic (16), root version u64, fingerprint (32), CRC-32 of those 56 bytes u32,
 * zero u32. Record: length of the body u32, CRC-32 of the body u32, body: kind u8, flags u8, two
 * zeros, writer, time, argument, path length, to length u32, path, to, data. The argument is a
 * write's offset, a truncate's size, a utime's mtime; flag 1 is a write's `cuts`.
 */
import type { Origin, TreeCommand } from "../state/tree-command.ts";

const MAGIC = Buffer.from("pmxcfs-changes-1");
const HEAD_BYTES = 64;
const FINGERPRINT_AT = 24;
export const FINGERPRINT_BYTES = 32;
const HEAD_CRC_AT = 56;
const RECORD_HEAD_BYTES = 8;
const BODY_HEAD_BYTES = 24;

/** The index of a kind is its number in the file. */
const KINDS = ["write", "truncate", "create", "mkdir", "remove", "rename", "utime"] as const;

const CUTS = 1;

/** The state of config.db that a journal continues. */
export interface JournalBase {
  /** Root version. */
  readonly version: number;
  /** RowFingerprint.value of that state. */
  readonly fingerprint: Uint8Array;
}

/** One change. */
export interface JournalRecord {
  readonly command: TreeCommand;
  readonly origin: Origin;
}

export interface DecodedJournal {
  readonly base: JournalBase;
  readonly records: readonly JournalRecord[];
  /**
   * More follows the last record that can be read than the torn rest of one write, whose change was
   * never answered: answered changes may be in it.
   */
  readonly isDamaged: boolean;
}

/** The head of a journal that continues `base`. */
export function encodeBase({ version, fingerprint }: JournalBase): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  MAGIC.copy(head);
  head.writeUInt32LE(version % 0x1_0000_0000, 16);
  head.writeUInt32LE(Math.floor(version / 0x1_0000_0000), 20);
  head.set(fingerprint, FINGERPRINT_AT);
  head.writeUInt32LE(Bun.hash.crc32(head.subarray(0, HEAD_CRC_AT)), HEAD_CRC_AT);
  return head;
}

function argumentOf(command: TreeCommand): number {
  if (command.kind === "write") return command.offset;
  if (command.kind === "truncate") return command.size;
  return command.kind === "utime" ? command.mtime : 0;
}

/** One record, preceded by its length and checksum. */
export function encodeRecord({ command, origin }: JournalRecord): Buffer {
  const path = Buffer.from(command.path, "latin1");
  const to = Buffer.from(command.kind === "rename" ? command.to : "", "latin1");
  const dataBytes = command.kind === "write" ? command.data.length : 0;
  const body = BODY_HEAD_BYTES + path.length + to.length + dataBytes;
  const record = Buffer.allocUnsafe(RECORD_HEAD_BYTES + body);
  record.writeUInt32LE(body, 0);
  const cuts = command.kind === "write" && command.cuts === true;
  record.writeUInt32LE(KINDS.indexOf(command.kind), 8);
  if (cuts) record[9] = CUTS;
  record.writeUInt32LE(origin.writer, 12);
  record.writeUInt32LE(origin.time, 16);
  record.writeUInt32LE(argumentOf(command), 20);
  record.writeUInt32LE(path.length, 24);
  record.writeUInt32LE(to.length, 28);
  record.set(path, 32);
  record.set(to, 32 + path.length);
  if (command.kind === "write") record.set(command.data, 32 + path.length + to.length);
  record.writeUInt32LE(Bun.hash.crc32(record.subarray(RECORD_HEAD_BYTES)), 4);
  return record;
}

/** No command is longer: a file has 1 MiB at most, and a path much less. */
const MAX_BODY_BYTES = 2 * 1024 * 1024;

/** Whether what follows the last record that can be read is not the beginning of another one. */
function isDamage(bytes: Buffer, at: number): boolean {
  if (at + RECORD_HEAD_BYTES > bytes.length) return false;
  const body = bytes.readUInt32LE(at);
  return at + RECORD_HEAD_BYTES + body <= bytes.length || body > MAX_BODY_BYTES;
}

/** True for the content of a journal whose head is complete, or was. */
export function hasHead(bytes: Buffer): boolean {
  return bytes.length >= HEAD_BYTES;
}

/** The content of a journal; undefined when it is no journal, or its head is incomplete. */
export function decodeJournal(bytes: Buffer): DecodedJournal | undefined {
  if (bytes.length < HEAD_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  if (bytes.readUInt32LE(HEAD_CRC_AT) !== Bun.hash.crc32(bytes.subarray(0, HEAD_CRC_AT))) {
    return undefined;
  }
  const version = bytes.readUInt32LE(16) + bytes.readUInt32LE(20) * 0x1_0000_0000;
  const fingerprint = bytes.subarray(FINGERPRINT_AT, FINGERPRINT_AT + FINGERPRINT_BYTES);
  const records: JournalRecord[] = [];
  let at = HEAD_BYTES;
  while (at + RECORD_HEAD_BYTES <= bytes.length) {
    const from = at + RECORD_HEAD_BYTES;
    const end = from + bytes.readUInt32LE(at);
    const body = bytes.subarray(from, end);
    if (end > bytes.length || bytes.readUInt32LE(at + 4) !== Bun.hash.crc32(body)) break;
    const record = decodeBody(body);
    if (record === undefined) break;
    records.push(record);
    at = end;
  }
  return { base: { version, fingerprint }, records, isDamaged: isDamage(bytes, at) };
}

function decodeBody(body: Buffer): JournalRecord | undefined {
  if (body.length < BODY_HEAD_BYTES) return undefined;
  const kind = KINDS[body[0] ?? KINDS.length];
  const origin = { writer: body.readUInt32LE(4), time: body.readUInt32LE(8) };
  const argument = body.readUInt32LE(12);
  const toAt = BODY_HEAD_BYTES + body.readUInt32LE(16);
  const dataAt = toAt + body.readUInt32LE(20);
  if (kind === undefined || dataAt > body.length) return undefined;
  const path = body.toString("latin1", BODY_HEAD_BYTES, toAt);
  const command = commandOf(kind, path, {
    to: body.toString("latin1", toAt, dataAt),
    argument,
    data: body.subarray(dataAt),
    cuts: body[1] === CUTS,
  });
  return { command, origin };
}

interface Arguments {
  readonly to: string;
  readonly argument: number;
  readonly data: Uint8Array;
  readonly cuts: boolean;
}

function commandOf(kind: TreeCommand["kind"], path: string, rest: Arguments): TreeCommand {
  const { to, argument, data, cuts } = rest;
  if (kind === "write") {
    return { kind, path, offset: argument, data, ...(cuts ? { cuts } : {}) };
  }
  if (kind === "truncate") return { kind, path, size: argument };
  if (kind === "utime") return { kind, path, mtime: argument };
  return kind === "rename" ? { kind, path, to } : { kind, path };
}
