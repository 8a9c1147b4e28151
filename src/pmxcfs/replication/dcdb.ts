/**
 * The database group (`dcdb.c`): changes of the tree as messages, the choice of the leader, its
 * updates, their commit, verification, and the release of expired locks. Independent of
 * corosync.
 */
import { Errno } from "../../base/errno.ts";
import { CfsLimits } from "../../base/limits.ts";
import { inParts, sortedBy, type Steps } from "../../base/steps.ts";
import { guestPath } from "../state/guests.ts";
import { pathOf, type Entry } from "../state/memdb.ts";
import type { TreeCommand } from "../state/tree-command.ts";
import { hashedOf } from "../state/tree-index.ts";
import { syncDigest, type SyncEntry } from "../store/sync-plan.ts";
import type { TreeStore } from "../store/tree-store.ts";
import {
  protocolLeave,
  type Applied,
  type Application,
  type ChecksumJob,
  type Comparison,
  type Leave,
  type MemberState,
  type NormalSend,
} from "./application.ts";
import {
  Change,
  commandFault,
  decodeCommand,
  decodeIndex,
  decodeLock,
  decodeUpdate,
  encodeCommand,
  encodeLock,
  encodeUpdate,
  indexFault,
  inodesOf,
  lockFault,
  updateFault,
  type IndexHead,
  type LockName,
} from "./dcdb-message.ts";
import { memberText, sameMember, type Member } from "./events.ts";
import { WHILE_SYNCING } from "./group-status.ts";
import { differing, leaderOf } from "./index-comparison.ts";
import type { NormalMessage } from "./message.ts";

/** What a sync is about to do to this node's tree. */
export interface OverruledBy {
  readonly leader: Member;
  readonly deleted: number;
  readonly added: number;
  readonly changed: number;
  /** Configurations of guests that will be gone, by path. */
  readonly guests: readonly string[];
}

export interface DatabaseGroupOptions {
  readonly tree: TreeStore;
  readonly nodeid: number;
  /**
   * Called before a commit that removes the configuration of a guest or more than 10 entries, to
   * keep a copy of the database and to log that.
   */
  readonly onOverruled?: (plan: OverruledBy) => Steps;
  /** Most that a leader's UPDATEs may have; default: what a config.db may have at a start. */
  readonly most?: { readonly updates: number; readonly updateBytes: number };
}

const MOST_RECEIVED = { updates: CfsLimits.loadedRows, updateBytes: CfsLimits.loadedBytes };

/** A sync that deletes more entries than this is preceded by a copy of the database. */
const DELETED_WITHOUT_COPY = 10;
/** A step of the verification, in milliseconds. */
const STEP_MS = 1;
/** Entries visited in one step. */
const ENTRIES_PER_STEP = 256;
/**
 * Up to so many changed entries and bytes are hashed when the index is encoded; more, before. One
 * file of the largest size takes about a millisecond; while it is written, it is not hashed anew
 * for each part.
 */
const MAX_PENDING = 64;
const MAX_PENDING_BYTES = CfsLimits.fileBytes;
const ROOT_INODE = 0;
const ZERO_DIGEST = Buffer.alloc(32);

export class DatabaseGroup implements Application {
  readonly tag = "dcdb";
  readonly protocol = 1;
  readonly whileSyncing = WHILE_SYNCING.dcdb;
  /** What the quorum service last reported. A change that arrives without quorum is not applied. */
  quorate = false;
  readonly #tree: TreeStore;
  readonly #nodeid: number;
  readonly #options: DatabaseGroupOptions;
  #lowest = -1;
  #broken = false;
  #leader: Member | undefined;
  #leaderIndex: Buffer | undefined;
  #updates = new Map<number, SyncEntry>();
  #updateBytes = 0;

  constructor(options: DatabaseGroupOptions) {
    this.#options = options;
    this.#tree = options.tree;
    this.#nodeid = options.nodeid;
  }

  /** 0 when changes may be sent; EACCES without quorum, EIO after the database failed. */
  get writable(): 0 | Errno {
    if (!this.quorate) return Errno.EACCES;
    return this.#broken ? Errno.EIO : 0;
  }

  /** A write to the database has failed. */
  get isBroken(): boolean {
    return this.#broken;
  }

  /** A write to the database worked again. */
  repaired(): void {
    this.#broken = false;
  }

  /** The message of a change, whose path neither begins nor ends with a slash. */
  encode(command: TreeCommand): NormalSend {
    return encodeCommand(command);
  }

  /** The message that asks the lowest member whether the lock at `path` has expired. */
  unlockRequest(path: string): NormalSend | undefined {
    const digest = this.#tree.lockDigest(path);
    return digest && encodeLock(Change.unlockRequest, { path, digest });
  }

  apply(message: NormalMessage, from: Member): Applied {
    const { subtype, body, time } = message;
    if (subtype < Change.write || subtype > Change.unlock) {
      return refused(from, `received unknown message type (msg_type == ${subtype})`);
    }
    if (!this.quorate) {
      const text = "received write while not quorate - trigger resync";
      return { result: Errno.EPERM, leave: { reason: "no-quorum", text } };
    }
    const origin = { writer: from.nodeid, time };
    if (subtype === Change.unlockRequest || subtype === Change.unlock) {
      const lock = decodeLock(body);
      if (lock === undefined) return refused(from, lockFault(body));
      if (subtype === Change.unlockRequest) return this.#unlockRequested(lock);
      const own = this.#tree.lockDigest(lock.path);
      if (own?.equals(lock.digest) !== true) return { result: 0 };
      return this.#checked(this.#tree.unlock(lock.path, lock.digest, origin));
    }
    const command = decodeCommand(subtype, body);
    if (command === undefined) return refused(from, commandFault(body));
    return this.#checked(this.#tree.apply(command, origin));
  }

  gather(): void {
    this.#tree.storage.gather();
  }

  store(): Leave | undefined {
    return this.#checked(this.#tree.storage.store()).leave;
  }

  #checked(result: number): Applied {
    // EBUSY: another process holds the database's write lock. Other members have the change.
    if (result !== Errno.EIO && result !== Errno.EBUSY) return { result };
    this.#broken = true;
    const text = "the database could not be written: this node lacks a change that others have";
    return { result: Errno.EIO, leave: { reason: "database", text } };
  }

  #unlockRequested({ path, digest }: LockName): Applied {
    const mine = this.#lowest === this.#nodeid;
    if (!mine || !this.#tree.lockExpired(path, digest)) return { result: 0 };
    return { result: 0, sends: [encodeLock(Change.unlock, { path, digest })] };
  }

  membersChanged(members: readonly Member[]): void {
    this.#lowest = Math.min(...members.map(({ nodeid }) => nodeid));
  }

  state(): Uint8Array {
    return this.#tree.index.encode();
  }

  *compare(states: readonly MemberState[], own: Member): Steps<Comparison | Leave> {
    const heads: IndexHead[] = [];
    for (const { member, state } of states) {
      const head = decodeIndex(state);
      if (head === undefined) {
        return protocolLeave(`${indexFault(state)}, sent by ${memberText(member)}`);
      }
      heads.push(head);
    }
    yield undefined;
    const leading = leaderOf(heads);
    const leader = states[leading];
    if (leader === undefined) return protocolLeave("no states to compare");
    // Equal states are one object in most cases (roster.ts).
    const same = (state: Buffer) => state === leader.state || state.equals(leader.state);
    const synced: boolean[] = [];
    for (const { state } of states) {
      synced.push(same(state));
      yield undefined;
    }
    this.#leader = leader.member;
    this.#leaderIndex = leader.state;
    const comparison = { synced, leader: leader.member };
    const at = states.findIndex(({ member }) => sameMember(member, own));
    if (synced[at] !== true) return comparison;
    const leads = sameMember(leader.member, own);
    const phantoms = yield* this.#phantoms();
    if (!leads && phantoms.length === 0) return comparison;
    const lagging = states.flatMap(({ state }, index) => (synced[index] === true ? [] : [state]));
    const inodes = yield* differing(leader.state, lagging);
    this.#dropPhantoms(phantoms, inodes);
    return leads ? { ...comparison, updates: yield* this.#updatesFor(inodes) } : comparison;
  }

  /** Files with a size but no bytes (memdb.ts), made by a C node; an UPDATE cannot carry them. */
  #phantoms(): Steps<Entry[]> {
    return this.#entriesThat(({ size, bytes }) => size > bytes.length);
  }

  *#entriesThat(holds: (entry: Entry) => boolean): Steps<Entry[]> {
    const found: Entry[] = [];
    let count = 0;
    for (const entry of this.#tree.entries()) {
      if (holds(entry)) found.push(entry);
      if (++count % ENTRIES_PER_STEP === 0) yield undefined;
    }
    return found;
  }

  /**
   * When a member lacks such a file, every synced member makes it empty, as a restart does. The
   * lagging member refuses the leader's tree once, because the index in the leader's STATE still
   * had the size, and takes it when it joins again.
   */
  #dropPhantoms(phantoms: readonly Entry[], inodes: ReadonlySet<number>): void {
    for (const entry of phantoms) {
      const { version, writer, mtime, bytes } = entry;
      if (inodes.has(entry.inode)) this.#tree.memdb.write(entry, bytes, { version, writer, mtime });
    }
  }

  /** Collects entries now, since the tree may change before the last is sent; encodes later. */
  *#updatesFor(inodes: ReadonlySet<number>): Steps<Iterator<Uint8Array>> {
    const noted: SyncEntry[] = [];
    const sorted = yield* sortedBy([...inodes], (inode) => inode);
    for (const part of inParts(sorted)) {
      for (const inode of part) {
        const entry = inode === ROOT_INODE ? this.#tree.memdb.root : this.#tree.entry(inode);
        if (entry !== undefined) noted.push(syncEntry(entry));
      }
      yield undefined;
    }
    return encoded(noted);
  }

  keepUpdate(body: Buffer): Leave | undefined {
    const update = decodeUpdate(body);
    if (update === undefined) return protocolLeave(updateFault(body));
    this.#updateBytes += update.data.length - (this.#updates.get(update.inode)?.data.length ?? 0);
    // Hashed on arrival, so that the commit does not have to hash all of them at once.
    this.#updates.set(update.inode, { ...update, digest: syncDigest(update) });
    const { updateBytes, updates } = this.#options.most ?? MOST_RECEIVED;
    if (this.#updateBytes <= updateBytes && this.#updates.size <= updates) return undefined;
    const amount = `${this.#updates.size} entries with ${this.#updateBytes} bytes`;
    return protocolLeave(`the leader sent ${amount}, more than a database may have`);
  }

  *commit(): Steps<Leave | undefined> {
    const [leader, index, updates] = [this.#leader, this.#leaderIndex, this.#updates];
    if (leader === undefined || index === undefined) {
      return protocolLeave("an UPDATE_COMPLETE without a leader");
    }
    const kept = new Set<number>();
    for (const inode of inodesOf(index)) {
      kept.add(inode);
      if (kept.size % ENTRIES_PER_STEP === 0) yield undefined;
    }
    const gone = yield* this.#entriesThat(({ inode }) => !kept.has(inode));
    yield* this.#announce(leader, gone);
    const deleted = gone.map(({ inode }) => inode);
    const outcome = yield* this.#tree.commitSync(deleted, [...updates.values()], index);
    this.dropSync();
    if (outcome !== true) {
      const text = "the leader's data could not be taken over: the reason is logged above";
      return { reason: "database", text };
    }
    return undefined;
  }

  /**
   * Reports what the commit removes, when that is a guest or more than DELETED_WITHOUT_COPY
   * entries. An entry is lost when no other takes its place (parent and name). When the two trees
   * diverged, an inode may be a different entry in the leader's tree.
   */
  *#announce(leader: Member, gone: readonly Entry[]): Steps {
    if (this.#options.onOverruled === undefined) return;
    const updates = [...this.#updates.values()].filter(({ inode }) => inode !== ROOT_INODE);
    const places = new Set<string>();
    const names = new Set<string>();
    const before: Entry[] = [];
    for (const part of inParts(updates)) {
      for (const { inode, parent, name } of part) {
        places.add(`${parent}/${name}`);
        names.add(name);
        const entry = this.#tree.entry(inode);
        if (entry !== undefined) before.push(entry);
      }
      yield undefined;
    }
    const lost: Entry[] = [];
    const guests: string[] = [];
    for (const part of inParts([...gone, ...before])) {
      for (const entry of part) {
        const { parent, name } = entry;
        if (places.has(`${parent?.inode ?? 0}/${name}`)) continue;
        lost.push(entry);
        // A guest that moved to another node keeps its file's name.
        if (names.has(name)) continue;
        const path = pathOf(entry);
        if (guestPath(path) !== undefined) guests.push(path);
      }
      yield undefined;
    }
    if (guests.length === 0 && lost.length <= DELETED_WITHOUT_COPY) return;
    const changed = before.length;
    const added = updates.length - changed;
    yield* this.#options.onOverruled({ leader, deleted: lost.length, added, changed, guests });
  }

  dropSync(): void {
    this.#leader = undefined;
    this.#leaderIndex = undefined;
    this.#updates = new Map();
    this.#updateBytes = 0;
  }

  synced(): readonly NormalSend[] {
    return [];
  }

  /** More entries have changed than may be hashed at once when a STATE is needed. */
  get busy(): boolean {
    const { pending, pendingBytes } = this.#tree.index;
    return pending > MAX_PENDING || pendingBytes > MAX_PENDING_BYTES;
  }

  work(): void {
    this.#tree.index.prepare(STEP_MS);
  }

  *checksum(): Steps<ChecksumJob> {
    const hash = yield* this.#tree.index.startChecksum();
    return { step: () => hash(STEP_MS) };
  }

  /** An unlock request for a lock that does not exist: with quorum, every node ignores it. */
  probe(): NormalSend | undefined {
    if (!this.quorate) return undefined;
    return encodeLock(Change.unlockRequest, { path: "priv/lock/.probe", digest: ZERO_DIGEST });
  }
}

function syncEntry(entry: Entry): SyncEntry {
  const { inode, parentInode: parent, version, writer, mtime, type, name, bytes } = hashedOf(entry);
  return { inode, parent, version, writer, mtime, type, name, data: bytes };
}

function* encoded(entries: readonly SyncEntry[]): Generator<Uint8Array> {
  for (const entry of entries) yield encodeUpdate(entry);
}

function refused(from: Member, found: string): Applied {
  return { result: Errno.EPERM, leave: protocolLeave(`${found}, sent by ${memberText(from)}`) };
}
