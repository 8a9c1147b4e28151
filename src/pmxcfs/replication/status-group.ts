/**
 * The status group (`status.c`): keys of all nodes, RRD values, node addresses and the cluster log.
 * No caller waits for its messages; own ones were applied before they were sent. At a sync the logs
 * are merged and every node sends its keys again. What cannot be sent yet is kept: the latest value
 * of each key, and the latest 1,000 log entries.
 */
import { CfsLimits } from "../../base/limits.ts";
import type { Errno } from "../../base/errno.ts";
import type { Steps } from "../../base/steps.ts";
import { NODE_IP } from "../state/status.ts";
import type { Application, Applied, Comparison, MemberState, NormalSend } from "./application.ts";
import { memberText, sameMember, type Member } from "./events.ts";
import { WHILE_SYNCING } from "./group-status.ts";
import type { NormalMessage } from "./message.ts";
import type { Lifetime } from "./queue.ts";

/** Subtypes of NORMAL. C defines 2 and never sends it. */
export const KV_UPDATE = 1;
export const LOG = 3;

/** The field of a key's name in a KV_UPDATE; the value follows. */
export const KEY_BYTES = 256;

export interface StatusGroupOptions {
  readonly self: Member;
  readonly status: {
    setOf(id: number, name: string, data: Uint8Array): 0 | Errno;
    ownKeys(): Iterable<[name: string, bytes: Uint8Array]>;
    set(name: string, data: Uint8Array): 0 | Errno;
  };
  readonly log: {
    readonly block: Uint8Array;
    insert(wire: Buffer): "inserted" | "duplicate" | "malformed";
    sort(): void;
    merge(blocks: readonly Buffer[], own: number): void;
  };
  /** Called with the ids of the nodes whose servers are in the group. */
  readonly onMembers: (nodeids: ReadonlySet<number>) => void;
  /** The address that this node's name resolves to; undefined: none is sent. latin1. */
  readonly address: () => string | undefined;
  /** Called with the result of inserting a log entry of another member. */
  readonly onLog?: (outcome: ReturnType<StatusGroupOptions["log"]["insert"]>) => void;
  /** Called with a log line about a message that was dropped, and the node that sent it. */
  readonly onDropped?: (text: string, nodeid: number) => void;
}

/** KV_UPDATE. Zeros follow the name (at most 255 bytes), where C sends what its memory held. */
function encodeKey(name: string, data: Uint8Array): NormalSend {
  const body = Buffer.alloc(KEY_BYTES + data.length);
  body.write(name, 0, KEY_BYTES - 1, "latin1");
  body.set(data, KEY_BYTES);
  return { subtype: KV_UPDATE, body, key: name };
}

/** The name in a KV_UPDATE; undefined when it is malformed. */
export function keyIn(body: Buffer): string | undefined {
  const end = body.subarray(0, KEY_BYTES).indexOf(0);
  if (body.length < KEY_BYTES || end === -1) return undefined;
  return body.toString("latin1", 0, end);
}

export class StatusGroup implements Application {
  readonly tag = "status";
  readonly protocol = 0;
  readonly whileSyncing = WHILE_SYNCING.status;
  readonly #options: StatusGroupOptions;
  /** The address that SET_STATUS set last, with its NUL. */
  #nodeIp: Uint8Array | undefined;

  constructor(options: StatusGroupOptions) {
    this.#options = options;
  }

  /** The message of a SET_STATUS; one that failed on this node with ENOMEM is sent, too. */
  encodeKey(name: string, data: Uint8Array): NormalSend {
    // The address set last is sent again at each sync.
    const isAddress = data.length > 0 && data.length < KEY_BYTES && data.at(-1) === 0;
    if (name === NODE_IP && isAddress) this.#nodeIp = Buffer.from(data);
    return encodeKey(name, data);
  }

  /** The LOG message of an entry that ClusterLog.add returned. */
  encodeLog(entry: Uint8Array): NormalSend {
    return { subtype: LOG, body: entry };
  }

  apply({ subtype, body }: NormalMessage, from: Member): Applied {
    if (!sameMember(from, this.#options.self)) this.#take(subtype, body, from);
    return { result: 0 };
  }

  lifetimeOf({ subtype, body }: NormalMessage, from: Member): Lifetime | undefined {
    if (sameMember(from, this.#options.self)) return undefined;
    // An entry is overwritten once its sender's later ones fill the block. Twice its size, since a
    // message is longer than its entry.
    if (subtype === LOG) return { laterBytes: 2 * CfsLimits.clusterLogBytes };
    return subtype === KV_UPDATE ? { key: keyIn(body) } : undefined;
  }

  #take(subtype: number, body: Buffer, from: Member): void {
    if (subtype === KV_UPDATE) return this.#takeKey(body, from);
    if (subtype !== LOG) return this.#dropped(`received unknown message type ${subtype}`, from);
    const outcome = this.#options.log.insert(body);
    this.#options.onLog?.(outcome);
    if (outcome === "malformed") {
      this.#dropped(`cant parse log message (${body.length} bytes)`, from);
    }
  }

  #takeKey(body: Buffer, from: Member): void {
    const key = keyIn(body);
    if (key === undefined) {
      return this.#dropped(`cant parse update message (${body.length} bytes)`, from);
    }
    const outcome = this.#options.status.setOf(from.nodeid, key, body.subarray(KEY_BYTES));
    if (outcome !== 0) this.#dropped(`dropped a status key (${outcome})`, from);
  }

  #dropped(found: string, from: Member): void {
    this.#options.onDropped?.(`${found}, sent by ${memberText(from)}`, from.nodeid);
  }

  membersChanged(members: readonly Member[]): void {
    this.#options.onMembers(new Set(members.map(({ nodeid }) => nodeid)));
  }

  /** The log's block; sorted first. */
  state(): Uint8Array {
    this.#options.log.sort();
    return this.#options.log.block;
  }

  // oxlint-disable-next-line require-yield -- a merge is one step
  *compare(states: readonly MemberState[], own: Member): Steps<Comparison> {
    const at = states.findIndex(({ member }) => sameMember(member, own));
    this.#options.log.merge(
      states.map(({ state }) => state),
      at,
    );
    const sends = [...this.#options.status.ownKeys()].map(([name, data]) => encodeKey(name, data));
    return { synced: states.map(() => true), sends };
  }

  synced(): readonly NormalSend[] {
    const address = this.#options.address();
    const resolved = address === undefined ? undefined : Buffer.from(`${address}\0`, "latin1");
    const data = this.#nodeIp ?? resolved;
    if (data === undefined || data.length > CfsLimits.nameBytes) return [];
    this.#options.status.set(NODE_IP, data);
    return [encodeKey(NODE_IP, data)];
  }

  /** Never called: every member is synced once all states have arrived. */
  keepUpdate(): undefined {
    return undefined;
  }

  // oxlint-disable-next-line require-yield -- there is nothing to do
  *commit(): Steps<undefined> {
    return undefined;
  }

  dropSync(): void {}
}
