/**
 * The cluster log: a ring of entries in one block of memory, in the C server's layout
 * (log-block.ts). The block holds entries of all nodes; at a sync the blocks of all nodes are
 * merged. C counterpart: logger.c.
 */
import { CfsLimits } from "../../base/limits.ts";
import type { Hash64 } from "./fnv.ts";
import { quoteEscapedJson, quoteJson } from "./json-text.ts";
import { allocate, append, entryBytes, ENTRY_BYTES, Field, Head } from "./log-block.ts";
import { merged, newBlock, sorted } from "./log-block.ts";
import { digestOf, LogNames, MAX_NAME_BYTES, type Name, putDigest } from "./log-names.ts";
import { escapeLogText } from "./log-text.ts";

/** The lowest priority, syslog's debug; entries with a higher number are dropped. */
const MAX_PRIORITY = 7;

/** An entry from a client. Strings are latin1 and end at their first NUL. */
export interface LogEntry {
  readonly priority: number;
  /** The acting user, such as `root@pam`; "ident" in the C server. */
  readonly user: string;
  readonly tag: string;
  readonly message: string;
  readonly pid: number;
}

export interface ClusterLogOptions {
  readonly nodeName: string;
  /** Process id, for the entry "starting cluster log". */
  readonly pid: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  readonly sizeBytes?: number;
  /** An existing block to continue; without it, a new one with the entry of the start is made. */
  readonly block?: Buffer;
}

/** The answer when there are none. */
const NO_ENTRIES = Buffer.from('{\n"data": [\n]\n}\n');

/** Most answers cached until the next entry; the API and the web interface use one or two. */
const KEPT_DUMPS = 4;

/** The latest entry of a node: an entry of that node that is not later is a duplicate. */
interface Latest {
  time: number;
  uid: number;
}

/** Owns the block. A new block begins with the same entry as the C server's. */
export class ClusterLog {
  #block: Buffer;
  readonly #nodeName: string;
  readonly #now: () => number;
  /** By node digest. */
  #latest = new Map<string, Latest>();
  #uid = 0;
  readonly #names = new LogNames();
  /** Cached answers by number of entries and user; cleared when the block changes. */
  readonly #dumps = new Map<string, Buffer>();

  constructor(options: ClusterLogOptions) {
    this.#block = newBlock(options.sizeBytes ?? CfsLimits.clusterLogBytes);
    this.#nodeName = options.nodeName;
    this.#now = options.now ?? Date.now;
    if (options.block !== undefined) {
      this.merge([this.#block, options.block], 0);
      return;
    }
    this.add({
      priority: 6,
      user: "root",
      tag: "cluster",
      message: "starting cluster log",
      pid: options.pid,
    });
  }

  /** The block in the C layout; valid until the next entry, sort or merge. */
  get block(): Uint8Array {
    return this.#block;
  }

  /**
   * Appends an entry of this node; one with a priority above 7 is dropped, as in C. True if it was
   * logged. Its time is never before that of the previous entry, even after a clock step: other
   * nodes would drop it as a duplicate.
   */
  add(entry: LogEntry): boolean {
    if (entry.priority > MAX_PRIORITY) return false;
    const node = this.#names.of(this.#nodeName);
    const user = this.#names.of(entry.user);
    const tag = this.#names.of(entry.tag);
    const names = node.bytes.length + user.bytes.length + tag.bytes.length;
    const room = CfsLimits.clusterLogEntryBytes - Field.strings - names;
    const message = escapeLogText(entry.message, room);
    const block = this.#block;
    const whole = ENTRY_BYTES + names + message.length + 1;
    const bytes = Math.min(whole, CfsLimits.clusterLogEntryBytes);
    const at = allocate(block, bytes);
    this.#stamp(at, node.key);
    putDigest(block, node.digest, at + Field.nodeDigest);
    putDigest(block, user.digest, at + Field.userDigest);
    block.writeUInt32LE(entry.pid >>> 0, at + Field.pid);
    block[at + Field.priority] = entry.priority;
    block.writeUInt32LE(bytes - ENTRY_BYTES - names, at + Field.messageBytes);
    const userAt = putName(block, node, at + Field.strings, at + Field.nodeBytes);
    const tagAt = putName(block, user, userAt, at + Field.userBytes);
    const messageAt = putName(block, tag, tagAt, at + Field.tagBytes);
    block.write(message, messageAt, "latin1");
    // The NUL, and the bytes of the C struct that an entry has beyond its strings.
    for (let byte = messageAt + message.length; byte < at + bytes; byte++) block[byte] = 0;
    this.#dumps.clear();
    return true;
  }

  /** The newest entry in its multicast form, which other nodes `insert`. */
  newestEntry(): Buffer {
    const at = this.#block.readUInt32LE(Head.newest);
    const entry = Buffer.alloc(entryBytes(this.#block, at) ?? 0);
    this.#block.copy(entry, Field.uid, at + Field.uid);
    return entry;
  }

  /**
   * Inserts an entry received by multicast. "malformed": its lengths do not add up, or a string has
   * no NUL; "duplicate": it is not later than the latest entry of its node.
   */
  insert(wire: Buffer): "inserted" | "duplicate" | "malformed" {
    if (wire.length > CfsLimits.clusterLogEntryBytes) return "malformed";
    if (entryBytes(wire, 0) !== wire.length) return "malformed";
    if (!this.#note(wire, digestText(wire))) return "duplicate";
    append(this.#block, wire);
    this.#dumps.clear();
    return "inserted";
  }

  /** Sorts the entries (log-block.ts). To be called before the block is sent to other nodes. */
  sort(): void {
    this.#replace(sorted(this.#block));
  }

  /** Merges the blocks of all members; `own` is the index of this node, whose block is used. */
  merge(blocks: readonly Buffer[], own: number): void {
    this.#latest = new Map();
    const all = blocks.with(own, this.#block);
    const note = (entry: Buffer): void => void this.#note(entry, digestText(entry));
    this.#replace(merged(all, this.#block.length, note));
  }

  #replace(block: Buffer): void {
    this.#block = block;
    this.#dumps.clear();
  }

  /** Sets uid and time of an entry of this node, and records it as the node's latest. */
  #stamp(at: number, node: string): void {
    const now = Math.floor(this.#now() / 1000) >>> 0;
    const latest = this.#latestOf(node);
    const time = Math.max(now, latest.time);
    this.#uid = (this.#uid + 1) >>> 0;
    // After a restart within a second, or when the clock went back: continue with the next uid.
    if (latest.time === time && this.#uid <= latest.uid) this.#uid = (latest.uid + 1) >>> 0;
    this.#block.writeUInt32LE(this.#uid, at + Field.uid);
    this.#block.writeUInt32LE(time, at + Field.time);
    latest.time = time;
    latest.uid = this.#uid;
  }

  /** Records `wire` as the latest entry of a node; false when it is not later than the last one. */
  #note(wire: Buffer, node: string): boolean {
    const uid = wire.readUInt32LE(Field.uid);
    const time = wire.readUInt32LE(Field.time);
    const isKnown = this.#latest.has(node);
    const latest = this.#latestOf(node);
    const isLater = time > latest.time || (time === latest.time && uid > latest.uid);
    if (isKnown && !isLater) return false;
    latest.time = time;
    latest.uid = uid;
    return true;
  }

  #latestOf(node: string): Latest {
    let latest = this.#latest.get(node);
    if (latest === undefined) this.#latest.set(node, (latest = { time: 0, uid: 0 }));
    return latest;
  }

  /**
   * GET_CLUSTER_LOG: the newest `maxEntries` entries (0: 50) of `user` (latin1; empty: of all),
   * newest first, as JSON. The bytes are cached until the log changes.
   */
  dump(user: string, maxEntries: number): Buffer {
    // The digest of a longer name is not that of any entry.
    if (user.length >= MAX_NAME_BYTES) return NO_ENTRIES;
    const question = `${maxEntries} ${user}`;
    const kept = this.#dumps.get(question);
    if (kept !== undefined) return kept;
    const answer = this.#dump(user, maxEntries);
    if (this.#dumps.size >= KEPT_DUMPS) this.#dumps.clear();
    this.#dumps.set(question, answer);
    return answer;
  }

  #dump(user: string, maxEntries: number): Buffer {
    const most = maxEntries === 0 ? CfsLimits.clusterLogDefaultEntries : maxEntries;
    const entries: string[] = [];
    // As in C, the user of an entry is compared by its digest.
    const wanted = user === "" ? undefined : digestOf(user);
    for (const at of this.#positions()) {
      if (entries.length >= most) break;
      if (wanted === undefined || this.#isOf(at, wanted)) entries.push(this.#render(at));
    }
    const lines = entries.length === 0 ? "" : `${entries.join(",\n")}\n`;
    return Buffer.from(`{\n"data": [\n${lines}]\n}\n`, "latin1");
  }

  /** Positions of the readable entries, newest first; the rule is in the head of log-block.ts. */
  *#positions(): IterableIterator<number> {
    const newest = this.#block.readUInt32LE(Head.newest);
    const unsafeEnd = newest + CfsLimits.clusterLogEntryBytes;
    let wrapped = false;
    let at = newest;
    while (at !== 0) {
      const prev = this.#block.readUInt32LE(at + Field.prev);
      if (prev >= at) {
        if (wrapped || (at !== newest && prev <= newest)) return;
        wrapped = true;
      }
      yield at;
      if (wrapped && prev <= unsafeEnd) return;
      at = prev;
    }
  }

  #isOf(at: number, { low, high }: Hash64): boolean {
    const digestAt = at + Field.userDigest;
    const isLow = this.#block.readUInt32LE(digestAt) === low;
    return isLow && this.#block.readUInt32LE(digestAt + 4) === high;
  }

  #render(at: number): string {
    const block = this.#block;
    const nodeAt = at + Field.strings;
    const userAt = nodeAt + this.#byte(at + Field.nodeBytes);
    const tagAt = userAt + this.#byte(at + Field.userBytes);
    const messageAt = tagAt + this.#byte(at + Field.tagBytes);
    const node = this.#text(nodeAt, userAt - nodeAt);
    const user = this.#text(userAt, tagAt - userAt);
    const tag = this.#text(tagAt, messageAt - tagAt);
    const lastAt = messageAt + block.readUInt32LE(at + Field.messageBytes) - 1;
    const message = this.#text(messageAt, block.indexOf(0, lastAt) - messageAt + 1);
    return (
      `{"uid": ${block.readUInt32LE(at + Field.uid)}, ` +
      `"time": ${block.readUInt32LE(at + Field.time)}, ` +
      `"pri": ${this.#byte(at + Field.priority)}, "tag": ${quoteJson(tag)}, ` +
      `"pid": ${block.readUInt32LE(at + Field.pid)}, "node": ${quoteJson(node)}, ` +
      `"user": ${quoteJson(user)}, "msg": ${quoteEscapedJson(message)}}`
    );
  }

  #byte(at: number): number {
    return this.#block[at] ?? 0;
  }

  /** The string at `at`; `bytes` counts its NUL. */
  #text(at: number, bytes: number): string {
    return this.#block.toString("latin1", at, at + bytes - 1);
  }
}

/** Names up to this many bytes are copied in a loop, which is then faster than the native call. */
const LOOP_BYTES = 24;

/** Writes a name at `at` and its length at `lengthAt`; returns where the name ends. */
function putName(block: Buffer, { bytes }: Name, at: number, lengthAt: number): number {
  const { length } = bytes;
  if (length > LOOP_BYTES) bytes.copy(block, at);
  else for (let index = 0; index < length; index++) block[at + index] = bytes[index] ?? 0;
  block[lengthAt] = length;
  return at + length;
}

/** The node digest of an entry, as a key. */
function digestText(wire: Buffer): string {
  return wire.toString("latin1", Field.nodeDigest, Field.userDigest);
}
