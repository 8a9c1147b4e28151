/**
 * Bodies of the database group's messages (`dcdb.c`): a change, a lock to be released, an entry of
 * the leader's tree, and the index of a tree. Lengths must add up exactly; every decoder returns
 * undefined for a body that C refuses.
 */
import type { Steps } from "../../base/steps.ts";
import { prefix, spanOf, u32, u64, u8 } from "../../wire/struct.ts";
import type { TreeCommand } from "../state/tree-command.ts";
import type { SyncEntry } from "../store/sync-plan.ts";
import { RowType } from "../store/tree-rows.ts";
import type { NormalSend } from "./application.ts";

/** Subtypes of NORMAL. */
export const Change = {
  write: 1,
  mkdir: 2,
  remove: 3,
  rename: 4,
  create: 5,
  utime: 6,
  unlockRequest: 7,
  unlock: 8,
} as const;

/** `flags` of a write that sets the size. */
const TRUNCATE = 1;

const Command = prefix({ size: u32, offset: u32, pathBytes: u32, toBytes: u32, flags: u32 });
const Update = prefix({
  parent: u64,
  inode: u64,
  version: u64,
  writer: u32,
  mtime: u32,
  size: u32,
  nameBytes: u32,
  type: u8,
});
const Index = prefix({
  version: u64,
  lastInode: u64,
  writer: u32,
  mtime: u32,
  count: u32,
  bytes: u32,
});
const DIGEST_BYTES = 32;
/** One entry of an index: u64 inode, digest. */
const INDEX_ENTRY_BYTES = 8 + DIGEST_BYTES;
/** Entries compared in one step. */
const ENTRIES_PER_STEP = 256;

/** A change as it is multicast. */
export function encodeCommand(command: TreeCommand): NormalSend {
  const { kind, path } = command;
  switch (kind) {
    case "write":
      return change(Change.write, { path, offset: command.offset, data: command.data });
    case "truncate":
      return change(Change.write, { path, offset: command.size, flags: TRUNCATE });
    case "rename":
      return change(Change.rename, { path, to: command.to });
    case "utime":
      return change(Change.utime, { path, offset: command.mtime });
    case "create":
    case "mkdir":
    case "remove":
      return change(Change[kind], { path });
    default:
      return command satisfies never;
  }
}

interface CommandParts {
  readonly path: string;
  readonly to?: string;
  readonly offset?: number;
  readonly flags?: number;
  readonly data?: Uint8Array;
}

function change(subtype: number, parts: CommandParts): NormalSend {
  const { path, to, offset = 0, flags = 0, data } = parts;
  const size = data?.length ?? 0;
  const pathBytes = path.length + 1;
  const toBytes = to === undefined ? 0 : to.length + 1;
  const body = Buffer.alloc(Command.size + pathBytes + toBytes + size);
  const span = spanOf(body);
  Command.write.size(span, size);
  Command.write.offset(span, offset);
  Command.write.pathBytes(span, pathBytes);
  Command.write.toBytes(span, toBytes);
  Command.write.flags(span, flags);
  body.write(path, Command.size, "latin1");
  if (to !== undefined) body.write(to, Command.size + pathBytes, "latin1");
  if (data !== undefined) body.set(data, Command.size + pathBytes + toBytes);
  return { subtype, body };
}

/** The change in the body of subtypes 1 to 6. Its data is a view into `body`. */
export function decodeCommand(subtype: number, body: Buffer): TreeCommand | undefined {
  if (body.length < Command.size) return undefined;
  const span = spanOf(body);
  const [size, offset, pathBytes, toBytes] = [
    Command.read.size(span),
    Command.read.offset(span),
    Command.read.pathBytes(span),
    Command.read.toBytes(span),
  ];
  if (Command.size + pathBytes + toBytes + size !== body.length) return undefined;
  const toAt = Command.size + pathBytes;
  const path = stringAt(body, Command.size, pathBytes);
  const to = stringAt(body, toAt, toBytes);
  if (path === undefined || to === undefined) return undefined;
  switch (subtype) {
    case Change.write:
      return writeOf(path, offset, body.subarray(toAt + toBytes), Command.read.flags(span) !== 0);
    case Change.mkdir:
      return { kind: "mkdir", path };
    case Change.remove:
      return { kind: "remove", path };
    case Change.rename:
      return { kind: "rename", path, to };
    case Change.create:
      return { kind: "create", path };
    case Change.utime:
      return { kind: "utime", path, mtime: offset };
    default:
      return undefined;
  }
}

/** Why `decodeCommand` refused a body, as C logs it. */
export function commandFault({ length }: Buffer): string {
  const isShort = length < Command.size;
  return isShort
    ? `received short fuse message (${length} < ${Command.size})`
    : "received mailformed fuse message";
}

function writeOf(path: string, offset: number, data: Buffer, setsSize: boolean): TreeCommand {
  if (!setsSize) return { kind: "write", path, offset, data };
  if (data.length === 0) return { kind: "truncate", path, size: offset };
  return { kind: "write", path, offset, data, cuts: true };
}

/** A C string of `bytes` bytes that must end in NUL; "" for none. */
function stringAt(body: Buffer, at: number, bytes: number): string | undefined {
  if (bytes === 0) return "";
  if (body[at + bytes - 1] !== 0) return undefined;
  return body.toString("latin1", at, body.indexOf(0, at));
}

/** Body of UNLOCK_REQUEST and UNLOCK. */
export interface LockName {
  readonly path: string;
  /** 32 bytes: the lock as the sender sees it. */
  readonly digest: Buffer;
}

/** UNLOCK_REQUEST or UNLOCK. */
export function encodeLock(subtype: number, { path, digest }: LockName): NormalSend {
  const body = Buffer.alloc(DIGEST_BYTES + path.length + 1);
  body.set(digest);
  body.write(path, DIGEST_BYTES, "latin1");
  return { subtype, body };
}

/** Undefined when the body is too short for a digest and a path, or does not end in NUL. */
export function decodeLock(body: Buffer): LockName | undefined {
  if (body.length <= DIGEST_BYTES) return undefined;
  const path = stringAt(body, DIGEST_BYTES, body.length - DIGEST_BYTES);
  return path === undefined ? undefined : { path, digest: body.subarray(0, DIGEST_BYTES) };
}

/** Why `decodeLock` refused a body, as C logs it. */
export function lockFault({ length }: Buffer): string {
  const least = DIGEST_BYTES + 1;
  return length < least
    ? `received short unlock message (${length} < ${least})`
    : "received mailformed unlock message - 'path' not terminated";
}

/** Body of an UPDATE. */
export function encodeUpdate(entry: SyncEntry): Buffer {
  const nameBytes = entry.name.length + 1;
  const body = Buffer.alloc(Update.size + nameBytes + entry.data.length);
  const span = spanOf(body);
  const { write } = Update;
  write.parent(span, BigInt(entry.parent));
  write.inode(span, BigInt(entry.inode));
  write.version(span, BigInt(entry.version));
  write.writer(span, entry.writer);
  write.mtime(span, entry.mtime);
  write.size(span, entry.data.length);
  write.nameBytes(span, nameBytes);
  write.type(span, entry.type);
  body.write(entry.name, Update.size, "latin1");
  body.set(entry.data, Update.size + nameBytes);
  return body;
}

/** The entry of an UPDATE, copied; undefined also for numbers that are not exact (see tooWide). */
export function decodeUpdate(body: Buffer): SyncEntry | undefined {
  if (body.length < Update.size) return undefined;
  const span = spanOf(body);
  const { read } = Update;
  const [size, nameBytes] = [read.size(span), read.nameBytes(span)];
  const dataAt = Update.size + nameBytes;
  const name = stringAt(body, Update.size, nameBytes);
  if (nameBytes === 0 || dataAt + size !== body.length || name === undefined) return undefined;
  const [parent, inode, version] = [read.parent, read.inode, read.version].map((number) =>
    Number(number(span)),
  ) as [number, number, number];
  if (![parent, inode, version + 1].every(Number.isSafeInteger)) return undefined;
  const [writer, mtime, type] = [read.writer(span), read.mtime(span), read.type(span)];
  if (type !== RowType.DIRECTORY && type !== RowType.FILE) return undefined;
  const data = Buffer.from(body.subarray(dataAt));
  return { parent, inode, version, writer, mtime, type, name, data };
}

/** Why `decodeUpdate` refused a body, as C logs it; C's limit is one byte below the size. */
export function updateFault({ length }: Buffer): string {
  const isShort = length < Update.size - 1;
  return isShort ? "received short message (msg_len < 40)" : "received mailformed message";
}

/** The head of an index, by which the leader is chosen. */
export interface IndexHead {
  readonly version: bigint;
  readonly mtime: number;
}

/**
 * The head of the index in a STATE; undefined when its length is not the one that it names. As in
 * C, its number of entries may be any: a member that leaves because of it parts from the C nodes.
 */
export function decodeIndex(index: Buffer): IndexHead | undefined {
  if (index.length < Index.size) return undefined;
  const span = spanOf(index);
  const { read } = Index;
  if (read.bytes(span) !== index.length) return undefined;
  return { version: read.version(span), mtime: read.mtime(span) };
}

/** Why `decodeIndex` refused a STATE, as C logs it. */
export function indexFault({ length }: Buffer): string {
  return length < Index.size
    ? "received short memdb index (len < sizeof(memdb_index_t))"
    : "received mailformed memdb index (len != idx->bytes)";
}

/** The number of entries of an index, as far as its bytes go. */
function countIn(index: Buffer): number {
  const room = Math.floor((index.length - Index.size) / INDEX_ENTRY_BYTES);
  return Math.min(Index.read.count(spanOf(index)), room);
}

/** Inode of the entry at `position`; of an index that `decodeIndex` accepted. */
function inodeAt(index: Buffer, position: number): number {
  const at = Index.size + position * INDEX_ENTRY_BYTES;
  return index.readUInt32LE(at) + index.readUInt32LE(at + 4) * 0x1_0000_0000;
}

/** Inodes of an index, in its order. */
export function* inodesOf(index: Buffer): Generator<number> {
  const count = countIn(index);
  for (let position = 0; position < count; position++) yield inodeAt(index, position);
}

/**
 * Adds to `found` the inodes of `index` that `other` lacks or has with another digest. Both are
 * walked in parallel, in the order of inodes. In an index that is not sorted (C sends none) entries
 * that are passed count as missing: C sends them, too.
 */
export function* addDifferences(index: Buffer, other: Buffer, found: Set<number>): Steps {
  const [count, there] = [countIn(index), countIn(other)];
  let beside = 0;
  let walked = 0;
  for (let position = 0; position < count; position++) {
    if (++walked % ENTRIES_PER_STEP === 0) yield undefined;
    const at = Index.size + position * INDEX_ENTRY_BYTES;
    if (sameEntry(index, at, other, Index.size + beside * INDEX_ENTRY_BYTES)) {
      if (beside < there) beside++;
      continue;
    }
    const inode = inodeAt(index, position);
    while (beside < there && inodeAt(other, beside) < inode) {
      beside++;
      if (++walked % ENTRIES_PER_STEP === 0) yield undefined;
    }
    if (!sameEntry(index, at, other, Index.size + beside * INDEX_ENTRY_BYTES)) found.add(inode);
  }
}

function sameEntry(one: Buffer, at: number, other: Buffer, otherAt: number): boolean {
  if (otherAt + INDEX_ENTRY_BYTES > other.length) return false;
  const end = at + INDEX_ENTRY_BYTES;
  return other.compare(one, at, end, otherAt, otherAt + INDEX_ENTRY_BYTES) === 0;
}
