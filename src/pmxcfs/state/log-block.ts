/**
 * The block of the cluster log, in the C server's layout (logger.c), in which nodes exchange it:
 *
 *   block   u32 size, u32 newest (byte position of the newest entry, 0 when there is none), entries
 *   entry   u32 prev, u32 next, u32 uid, u32 time, u64 node digest, u64 user digest, u32 pid,
 *           u8 priority, u8 node, user and tag lengths, u32 message length, then the four
 *           strings; lengths count the NULs, positions are bytes from the block's start
 *
 * Entries lie end to end, each rounded up to 8 bytes. An entry that would reach the end of the
 * block goes to its start, over the oldest entries; overwritten entries are not marked. A reader
 * follows `prev` from the newest entry. It stops at an entry that begins within 4096 bytes (the
 * size of the largest entry) after the start of the newest, and at one whose `prev` shows that it
 * was overwritten.
 *
 * An entry has 4 bytes more than its fields and strings (ENTRY_BYTES). In one of the largest size
 * the message's length may be up to 3 bytes too small: its NUL then lies in these bytes.
 *
 * A block may come from another node: the lengths of an entry are checked before it is used.
 */
import { CfsLimits } from "../../base/limits.ts";

/** Byte positions in the block's header; `entries`: the first entry. */
export const Head = { size: 0, newest: 4, entries: 8 } as const;

/** Byte positions in an entry. */
export const Field = {
  prev: 0,
  next: 4,
  uid: 8,
  time: 12,
  nodeDigest: 16,
  userDigest: 24,
  pid: 32,
  priority: 36,
  nodeBytes: 37,
  userBytes: 38,
  tagBytes: 39,
  messageBytes: 40,
  strings: 44,
} as const;

/** sizeof the C struct, which an entry takes besides its strings, although these begin at 44. */
export const ENTRY_BYTES = 48;
const ALIGNMENT = 8;

/** Makes a block without entries. */
export function newBlock(sizeBytes: number): Buffer {
  const block = Buffer.alloc(sizeBytes);
  block.writeUInt32LE(sizeBytes, Head.size);
  return block;
}

/** Size of the entry at `at`, not rounded; undefined when there is no valid entry. */
export function entryBytes(bytes: Buffer, at: number): number | undefined {
  if (at + ENTRY_BYTES > bytes.length) return undefined;
  let end = at + Field.strings;
  for (const field of [Field.nodeBytes, Field.userBytes, Field.tagBytes]) {
    const length = bytes[at + field] ?? 0;
    end += length;
    if (length === 0 || end > bytes.length || bytes[end - 1] !== 0) return undefined;
  }
  const message = bytes.readUInt32LE(at + Field.messageBytes);
  const size = end + message + (ENTRY_BYTES - Field.strings) - at;
  if (message === 0 || at + size > bytes.length) return undefined;
  return bytes.subarray(end + message - 1, at + size).includes(0) ? size : undefined;
}

/** The bytes that an entry takes in a block. */
function rounded(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

/** Makes room for an entry of `bytes` bytes and links it as the newest; returns its position. */
export function allocate(block: Buffer, bytes: number): number {
  const size = rounded(bytes);
  const prev = block.readUInt32LE(Head.newest);
  let at: number = Head.entries;
  if (prev !== 0) {
    const next = block.readUInt32LE(prev + Field.next);
    if (next + size < block.length) at = next;
  }
  block.writeUInt32LE(prev, at + Field.prev);
  block.writeUInt32LE(at + size, at + Field.next);
  block.writeUInt32LE(at, Head.newest);
  return at;
}

/** Copies an entry into the block as the newest. */
export function append(block: Buffer, entry: Buffer): void {
  const at = allocate(block, entry.length);
  entry.copy(block, at + Field.uid, Field.uid);
}

/**
 * Positions of the entries for a sort or a merge, newest first. Ends at an invalid entry, and after
 * as many entries as a block of `sizeBytes` can hold, so that a circular chain ends.
 */
export function* chain(block: Buffer, sizeBytes = block.length): Generator<number> {
  const newest = block.readUInt32LE(Head.newest);
  const unsafeEnd = newest + CfsLimits.clusterLogEntryBytes;
  let left = Math.ceil(sizeBytes / ENTRY_BYTES);
  let at = newest;
  while (at >= Head.entries && (at <= newest || at > unsafeEnd) && left > 0) {
    if (entryBytes(block, at) === undefined) return;
    yield at;
    const prev = block.readUInt32LE(at + Field.prev);
    // The entry's predecessor was overwritten since the block wrapped.
    if (at < prev && prev <= newest) return;
    at = prev;
    left--;
  }
}

/** An entry of a block. */
interface Place {
  readonly block: Buffer;
  readonly at: number;
}

/** A new block with the entries of `block`, sorted. */
export function sorted(block: Buffer): Buffer {
  return inOrder(
    [...chain(block)].map((at) => ({ block, at })),
    block.length,
  );
}

/**
 * A new block of `sizeBytes` with the latest entries of all blocks, each once, sorted. A block may
 * have another size; one that is not as long as it says is ignored, and so is an entry that the new
 * block has no room for. C counterpart: clusterlog_merge.
 */
export function merged(
  blocks: readonly Buffer[],
  sizeBytes: number,
  onTaken: (entry: Buffer) => void,
): Buffer {
  const most = sizeBytes - Head.entries - CfsLimits.clusterLogEntryBytes;
  const heads = distinct(blocks).map((block) => new Cursor(block, sizeBytes));
  const taken = new Map<string, Place>();
  let bytes = 0;
  while (bytes < most) {
    let latest: Cursor | undefined;
    for (const head of heads) if (head.time > (latest?.time ?? 0)) latest = head;
    if (latest === undefined) break;
    const { block, at } = latest;
    // uid, time, and the low half of the node digest: the fields that C compares.
    const key = block.toString("latin1", at + Field.uid, at + Field.nodeDigest + 4);
    const length = entryBytes(block, at) ?? 0;
    if (length <= most && !taken.has(key)) {
      taken.set(key, { block, at });
      onTaken(block.subarray(at, at + length));
      bytes += rounded(length);
    }
    latest.advance();
  }
  return inOrder([...taken.values()], sizeBytes);
}

/** The blocks that are as long as they say, without duplicates. */
function distinct(blocks: readonly Buffer[]): Buffer[] {
  const found: Buffer[] = [];
  for (const block of blocks) {
    if (block.length < Head.entries || block.readUInt32LE(Head.size) !== block.length) continue;
    if (!found.some((other) => other.equals(block))) found.push(block);
  }
  return found;
}

/** The position of a merge in one block. */
class Cursor {
  readonly block: Buffer;
  readonly #chain: Generator<number>;
  #at = 0;
  /** The entry's time; 0 after the last entry. */
  time = 0;

  constructor(block: Buffer, sizeBytes: number) {
    this.block = block;
    this.#chain = chain(block, sizeBytes);
    this.advance();
  }

  get at(): number {
    return this.#at;
  }

  advance(): void {
    const next = this.#chain.next();
    this.#at = next.done === true ? 0 : next.value;
    this.time = this.#at === 0 ? 0 : this.block.readUInt32LE(this.#at + Field.time);
  }
}

function inOrder(places: readonly Place[], sizeBytes: number): Buffer {
  const block = newBlock(sizeBytes);
  for (const { block: from, at } of ordered(places, ORDER)) {
    const length = entryBytes(from, at) ?? 0;
    // As in C, a larger entry is left out: readers rely on the largest size.
    if (length <= CfsLimits.clusterLogEntryBytes) append(block, from.subarray(at, at + length));
  }
  return block;
}

/** The fields by which entries are ordered; of the node digest, the low half. */
const ORDER = [Field.time, Field.nodeDigest, Field.uid] as const;

/**
 * Entries in the order of these fields; of equal ones the one that was found last, as in C. C takes
 * the low 32 bits of a difference as signed, which is an order on a circle: it has no beginning if
 * the values lie all around, as the digests of three nodes may. C's result then depends on the tree
 * that it sorts with, which may hold an entry twice. Here the values begin after their largest gap:
 * where C has an order, it is this one.
 */
function ordered(places: readonly Place[], fields: readonly number[]): readonly Place[] {
  const [field, ...rest] = fields;
  if (field === undefined) return places.slice(-1);
  if (places.length === 1) return places;
  const groups = Map.groupBy(places, ({ block, at }) => block.readUInt32LE(at + field));
  return afterLargestGap([...groups.keys()]).flatMap((value) => {
    return ordered(groups.get(value) ?? [], rest);
  });
}

/** Different u32 values, ascending on their circle, beginning after the largest gap. */
function afterLargestGap(values: readonly number[]): number[] {
  const ascending = values.toSorted((a, b) => a - b);
  let begin = 0;
  let largest = (ascending[0] ?? 0) + 2 ** 32 - (ascending.at(-1) ?? 0);
  for (let at = 1; at < ascending.length; at++) {
    const gap = (ascending[at] ?? 0) - (ascending[at - 1] ?? 0);
    if (gap <= largest) continue;
    largest = gap;
    begin = at;
  }
  return [...ascending.slice(begin), ...ascending.slice(0, begin)];
}
