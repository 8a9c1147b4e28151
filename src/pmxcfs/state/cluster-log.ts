/**
 * The cluster log: a ring of entries in one block of memory, in the layout of the C server, so
 * that the block can be exchanged with C nodes as it is. C counterpart: logger.c.
 *
 *   block   u32 size, u32 newest (byte position of the newest entry, 0 when there is none), entries
 *   entry   u32 prev, u32 next, u32 uid, u32 time, u64 node digest, u64 user digest, u32 pid,
 *           u8 priority, u8 node, user and tag lengths, u32 message length, then the four
 *           strings; lengths count the NULs, positions are bytes from the block's start
 *
 * Entries are laid end to end, each rounded up to 8 bytes; one that would reach the end goes to
 * the start of the block instead, over the oldest. Nothing marks what was overwritten. A reader
 * follows `prev` from the newest entry and stops at the first entry that begins within 4096 bytes
 * (the largest entry) after the newest. An entry whose `prev` was overwritten since the block
 * wrapped (it lies above the entry and not above the newest) is not shown either, as in C.
 */
import { CfsLimits } from "../../base/limits.ts";
import { fnv1a64 } from "./fnv.ts";
import { quoteEscapedJson, quoteJson } from "./json-text.ts";
import { escapeLogText } from "./log-text.ts";

/** Byte positions in the block's head and in an entry. */
const Head = { size: 0, newest: 4, entries: 8 } as const;
const Field = {
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

/** sizeof the C struct: what an entry takes besides its strings, which begin in its padding. */
const ENTRY_BYTES = 48;
const ALIGNMENT = 8;

/** A length field of names is one byte, and counts the NUL. */
const MAX_NAME_BYTES = 255;

/** Priorities are syslog's; anything above debug is not kept. */
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
  /** Of this process, for the first entry. */
  readonly pid: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  readonly sizeBytes?: number;
}

/** Owns the block. Starts with the entry that every C server starts with. */
export class ClusterLog {
  readonly #block: Buffer;
  readonly #nodeName: string;
  readonly #now: () => number;
  #uid = 0;

  constructor(options: ClusterLogOptions) {
    this.#block = Buffer.alloc(options.sizeBytes ?? CfsLimits.clusterLogBytes);
    this.#block.writeUInt32LE(this.#block.length, Head.size);
    this.#nodeName = options.nodeName;
    this.#now = options.now ?? Date.now;
    this.add({
      priority: 6,
      user: "root",
      tag: "cluster",
      message: "starting cluster log",
      pid: options.pid,
    });
  }

  /** The block in the C layout; changes with the next entry. */
  get block(): Uint8Array {
    return this.#block;
  }

  /** Appends an entry; one whose priority is not syslog's is dropped, as in C. */
  add(entry: LogEntry): void {
    if (entry.priority > MAX_PRIORITY) return;
    const node = cutName(this.#nodeName);
    const user = cutName(entry.user);
    const tag = cutName(entry.tag);
    const names = node.length + user.length + tag.length + 3;
    const room = CfsLimits.clusterLogEntryBytes - Field.strings - names;
    const message = escapeLogText(entry.message, room);
    const at = this.#allocate(ENTRY_BYTES + names + message.length + 1);

    this.#uid = (this.#uid + 1) >>> 0;
    const block = this.#block;
    block.writeUInt32LE(this.#uid, at + Field.uid);
    block.writeUInt32LE(Math.floor(this.#now() / 1000) >>> 0, at + Field.time);
    block.writeUInt32LE(entry.pid >>> 0, at + Field.pid);
    block[at + Field.priority] = entry.priority;
    block.writeUInt32LE(message.length + 1, at + Field.messageBytes);
    let end = at + Field.strings;
    end = this.#putName(node, end, at + Field.nodeBytes, at + Field.nodeDigest);
    end = this.#putName(user, end, at + Field.userBytes, at + Field.userDigest);
    end = this.#putName(tag, end, at + Field.tagBytes);
    end += block.write(message, end, "latin1");
    block[end] = 0;
  }

  /**
   * GET_CLUSTER_LOG: the newest `maxEntries` entries (0: 50) of `user` (latin1; empty: of all),
   * newest first, as JSON.
   */
  dump(user: string, maxEntries: number): Buffer {
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

  /** Links an entry of `bytes` bytes in as the newest; returns its position. */
  #allocate(bytes: number): number {
    const block = this.#block;
    const size = Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
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

  /** Writes a name with its NUL at `at`, and its length and digest; returns where it ends. */
  #putName(name: string, at: number, lengthAt: number, digestAt?: number): number {
    const end = at + name.length + 1;
    this.#block.write(name, at, "latin1");
    this.#block[end - 1] = 0;
    this.#block[lengthAt] = name.length + 1;
    if (digestAt !== undefined) {
      const digest = fnv1a64(this.#block, at, end);
      this.#block.writeUInt32LE(digest.low, digestAt);
      this.#block.writeUInt32LE(digest.high, digestAt + 4);
    }
    return end;
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
