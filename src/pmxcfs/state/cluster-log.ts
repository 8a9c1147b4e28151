/**
 * The cluster log: a ring of entries in one block of memory, in the layout of the C server
 * (log-block.ts). Entries of this node and of others go into the same block; at a sync the blocks
 * of all nodes are merged. C counterpart: logger.c.
 */
import { CfsLimits } from "../../base/limits.ts";
import { fnv1a64, type Hash64 } from "./fnv.ts";
import { quoteEscapedJson, quoteJson } from "./json-text.ts";
import { append, entryBytes, ENTRY_BYTES, Field, Head } from "./log-block.ts";
import { merged, newBlock, sorted } from "./log-block.ts";
import { escapeLogText } from "./log-text.ts";

const DIGEST_BYTES = Field.userDigest - Field.nodeDigest;

/** A length field of names is one byte, and counts the NUL. */
const MAX_NAME_BYTES = 255;

/** The lowest priority that is kept: debug, by syslog's numbers. */
const MAX_PRIORITY = 7;

/** What a client logs. Strings are latin1; each ends at its first NUL. */
export interface LogEntry {
  readonly priority: number;
  /** Who did it, as in `root@pam` (the C server says ident). */
  readonly user: string;
  readonly tag: string;
  readonly message: string;
  readonly pid: number;
}

export interface ClusterLogOptions {
  readonly nodeName: string;
  /** Of this process, for the entry of its start. */
  readonly pid: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  readonly sizeBytes?: number;
  /** An existing block to continue, instead of a new one with the entry of a start. */
  readonly block?: Buffer;
}

/** Answers kept until the next entry: the API and the web interface ask for one or two. */
const KEPT_DUMPS = 4;

/** Names whose digests are kept: a node has few users and programs that log. */
const KEPT_NAMES = 64;

/** A node, user or tag as entries hold it: cut, with its NUL, and with its digest. */
interface Name {
  readonly bytes: Buffer;
  readonly digest: Hash64;
  /** The digest as the key of `#latest`. */
  readonly key: string;
}

/** The latest entry of a node, by which older ones are known to be duplicates. */
interface Latest {
  readonly time: number;
  readonly uid: number;
}

/** Owns the block. A new one starts with the entry that every C server starts with. */
export class ClusterLog {
  #block: Buffer;
  readonly #nodeName: string;
  readonly #now: () => number;
  /** By node digest. */
  #latest = new Map<string, Latest>();
  #uid = 0;
  readonly #names = new Map<string, Name>();
  /** By number of entries and user; emptied when the block changes. */
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

  /** The block in the C layout; another one, or changed, after the next entry, sort or merge. */
  get block(): Uint8Array {
    return this.#block;
  }

  /**
   * Appends an entry of this node; one whose priority is not syslog's is dropped, as in C. Returns
   * the entry as it is multicast (`insert` takes it on the other nodes). Its time is never before
   * that of the last one, even when the clock goes back: the others would take it for a duplicate.
   */
  add(entry: LogEntry): Buffer | undefined {
    if (entry.priority > MAX_PRIORITY) return undefined;
    const node = this.#name(this.#nodeName);
    const user = this.#name(entry.user);
    const tag = this.#name(entry.tag);
    const names = node.bytes.length + user.bytes.length + tag.bytes.length;
    const room = CfsLimits.clusterLogEntryBytes - Field.strings - names;
    const message = escapeLogText(entry.message, room);
    const wire = Buffer.alloc(ENTRY_BYTES + names + message.length + 1);
    wire.writeUInt32LE(entry.pid >>> 0, Field.pid);
    wire[Field.priority] = entry.priority;
    wire.writeUInt32LE(message.length + 1, Field.messageBytes);
    putDigest(wire, node.digest, Field.nodeDigest);
    putDigest(wire, user.digest, Field.userDigest);
    const userAt = putName(wire, node, Field.strings, Field.nodeBytes);
    const tagAt = putName(wire, user, userAt, Field.userBytes);
    const messageAt = putName(wire, tag, tagAt, Field.tagBytes);
    wire.write(message, messageAt, "latin1");
    this.#stamp(wire, node.key);
    this.#append(wire);
    this.#note(wire, node.key);
    return wire;
  }

  /**
   * Inserts an entry as it was multicast. "malformed": its lengths do not add up, or a string has
   * no NUL; "duplicate": not later than the latest one of its node.
   */
  insert(wire: Buffer): "inserted" | "duplicate" | "malformed" {
    if (wire.length > CfsLimits.clusterLogEntryBytes + ENTRY_BYTES) return "malformed";
    if (entryBytes(wire, 0) !== wire.length) return "malformed";
    if (!this.#note(wire, digestText(wire))) return "duplicate";
    this.#append(wire);
    return "inserted";
  }

  /** Sorts the entries (log-block.ts), before the block is sent to others. */
  sort(): void {
    this.#replace(sorted(this.#block));
  }

  /** Takes the latest entries of all blocks, this one's in the place `own` of the members. */
  merge(blocks: readonly Buffer[], own: number): void {
    this.#latest = new Map();
    const all = blocks.with(own, this.#block);
    const note = (entry: Buffer): void => void this.#note(entry, digestText(entry));
    this.#replace(merged(all, this.#block.length, note));
  }

  #append(wire: Buffer): void {
    append(this.#block, wire);
    this.#dumps.clear();
  }

  #replace(block: Buffer): void {
    this.#block = block;
    this.#dumps.clear();
  }

  #name(given: string): Name {
    const text = cutName(given);
    const kept = this.#names.get(text);
    if (kept !== undefined) return kept;
    const bytes = Buffer.from(`${text}\0`, "latin1");
    const digest = fnv1a64(bytes, 0, bytes.length);
    const key = Buffer.alloc(DIGEST_BYTES);
    putDigest(key, digest, 0);
    const name = { bytes, digest, key: key.toString("latin1") };
    if (this.#names.size >= KEPT_NAMES) this.#names.clear();
    this.#names.set(text, name);
    return name;
  }

  /** uid and time of an own entry. */
  #stamp(wire: Buffer, node: string): void {
    const now = Math.floor(this.#now() / 1000) >>> 0;
    const latest = this.#latest.get(node);
    const time = Math.max(now, latest?.time ?? 0);
    this.#uid = (this.#uid + 1) >>> 0;
    // After a restart within a second, or when the clock went back: continue the older uid.
    if (latest?.time === time && this.#uid <= latest.uid) this.#uid = (latest.uid + 1) >>> 0;
    wire.writeUInt32LE(this.#uid, Field.uid);
    wire.writeUInt32LE(time, Field.time);
  }

  /** Notes the latest entry of a node, given by its key; false when `wire` is none. */
  #note(wire: Buffer, node: string): boolean {
    const uid = wire.readUInt32LE(Field.uid);
    const time = wire.readUInt32LE(Field.time);
    const latest = this.#latest.get(node);
    if (latest !== undefined) {
      const later = time > latest.time || (time === latest.time && uid > latest.uid);
      if (!later) return false;
    }
    this.#latest.set(node, { time, uid });
    return true;
  }

  /**
   * GET_CLUSTER_LOG: the newest `maxEntries` entries (0: 50) of `user` (latin1; empty: of all),
   * newest first, as JSON. The bytes are kept and given again until the log changes.
   */
  dump(user: string, maxEntries: number): Buffer {
    // No entry has a longer one, and a question should not take room.
    if (user.length > MAX_NAME_BYTES) return this.#dump(user, maxEntries);
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
    for (const at of this.#positions()) {
      if (entries.length >= most) break;
      if (user === "" || this.#userAt(at) === user) entries.push(this.#render(at));
    }
    const lines = entries.length === 0 ? "" : `${entries.join(",\n")}\n`;
    return Buffer.from(`{\n"data": [\n${lines}]\n}\n`, "latin1");
  }

  /** Positions of the entries that are shown, newest first (rule: head of this file). */
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

  #userAt(at: number): string {
    const from = at + Field.strings + this.#byte(at + Field.nodeBytes);
    return this.#text(from, this.#byte(at + Field.userBytes));
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
    const message = this.#text(messageAt, block.readUInt32LE(at + Field.messageBytes));
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

  /** The string of `bytes` bytes at `at`, its NUL among them. */
  #text(at: number, bytes: number): string {
    return this.#block.toString("latin1", at, at + bytes - 1);
  }
}

/** Up to the first NUL, and short enough for a one-byte length with its NUL. */
function cutName(name: string): string {
  const nul = name.indexOf("\0");
  return name.slice(0, nul === -1 ? MAX_NAME_BYTES - 1 : Math.min(nul, MAX_NAME_BYTES - 1));
}

/** Writes a name at `at`, and its length; returns where it ends. */
function putName(wire: Buffer, { bytes }: Name, at: number, lengthAt: number): number {
  bytes.copy(wire, at);
  wire[lengthAt] = bytes.length;
  return at + bytes.length;
}

function putDigest(wire: Buffer, { low, high }: Hash64, at: number): void {
  wire.writeUInt32LE(low, at);
  wire.writeUInt32LE(high, at + 4);
}

/** The node digest of an entry, as a key. */
function digestText(wire: Buffer): string {
  return wire.toString("latin1", Field.nodeDigest, Field.userDigest);
}
