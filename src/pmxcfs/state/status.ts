/**
 * The status store of SET_STATUS and GET_STATUS: one key-value map per node (this node's own keys,
 * and those that other nodes sent). The names `nodeip` and `rrd/KEY` are special: their values go
 * to Members and Rrd. Values are copied and never changed. C counterpart: status.c, kvhash.
 */
import { Errno } from "../../base/errno.ts";
import { CfsLimits } from "../../base/limits.ts";

interface Value {
  bytes: Buffer;
  /** 0 when created; incremented by each set, even to the same bytes. */
  version: number;
}

/** The nodes of the cluster; receives the values of `nodeip`. */
export interface NodeDirectory {
  readonly nodeName: string;
  /** Another node's id; undefined for this node and for unknown ones. */
  idOf(node: string): number | undefined;
  /** A node's name; undefined when no node of the cluster has this id. */
  nameOf(id: number): string | undefined;
  /** Sets the address of this node, or of the node `id`. */
  setNodeIp(ip: string, id?: number): void;
}

/** Receives the values of `rrd/KEY` for the dump. */
export interface RrdEntries {
  set(key: string, value: string): 0 | Errno;
}

/** Receives the values of `rrd/KEY` for the RRD files, which it writes later. Must not block. */
export interface RrdArchive {
  update(key: string, value: string): void;
}

export interface StatusOptions {
  readonly members: NodeDirectory;
  readonly rrd: RrdEntries;
  readonly rrdFiles?: RrdArchive;
  readonly maxKeys?: number;
}

const RRD_PREFIX = "rrd/";
/** The key of a node's address. */
export const NODE_IP = "nodeip";

/** The key-value maps of all nodes. Names are latin1, at most 255 characters. */
export class Status {
  readonly #members: NodeDirectory;
  readonly #rrd: RrdEntries;
  readonly #rrdFiles: RrdArchive | undefined;
  readonly #maxKeys: number;
  readonly #own = new Map<string, Value>();
  /** The keys of other nodes, by node id. */
  readonly #others = new Map<number, Map<string, Value>>();
  #generation = 0;

  constructor(options: StatusOptions) {
    this.#members = options.members;
    this.#rrd = options.rrd;
    this.#rrdFiles = options.rrdFiles;
    this.#maxKeys = options.maxKeys ?? CfsLimits.statusKeys;
  }

  /** Changes whenever the part of GET_FS_VERSION about these maps changes. */
  get generation(): number {
    return this.#generation;
  }

  /** Number of this node's keys. */
  get count(): number {
    return this.#own.size;
  }

  /**
   * SET_STATUS. Empty `data` removes the key, which need not exist. EFBIG: above 32 KiB; ENOMEM: a
   * `nodeip` or `rrd/` value is empty, too long or without its NUL (as in C); ENOSPC: too many
   * keys, a limit that C does not have.
   */
  set(name: string, data: Uint8Array): 0 | Errno {
    return this.#set(this.#own, undefined, name, data);
  }

  /**
   * The same for another node, from a KV_UPDATE message. ENOENT: no such node, or it is this one.
   * Errors are only logged: the sender gets no answer.
   */
  setOf(id: number, name: string, data: Uint8Array): 0 | Errno {
    const node = this.#members.nameOf(id);
    if (node === undefined || node === this.#members.nodeName) return Errno.ENOENT;
    return this.#set(this.#others.get(id), id, name, data);
  }

  /** GET_STATUS: the bytes as set; an empty `node` is this node. */
  get(node: string, name: string): Uint8Array | undefined {
    if (node === "" || node === this.#members.nodeName) return this.#own.get(name)?.bytes;
    const id = this.#members.idOf(node);
    return id === undefined ? undefined : this.#others.get(id)?.get(name)?.bytes;
  }

  /** This node's keys and values in the order of creation, which a sync sends to other nodes. */
  *ownKeys(): IterableIterator<[name: string, bytes: Uint8Array]> {
    for (const [name, value] of this.#own) yield [name, value.bytes];
  }

  /** Every node that has keys, this one first, with the keys' versions in the order of creation. */
  *versions(): IterableIterator<[node: string, keys: Iterable<[name: string, version: number]>]> {
    yield [this.#members.nodeName, versionsOf(this.#own)];
    for (const [id, values] of this.#others) {
      const node = this.#members.nameOf(id);
      if (node !== undefined) yield [node, versionsOf(values)];
    }
  }

  /** To be called when the members changed: drops the keys of ids that are no longer members. */
  membersChanged(): void {
    for (const id of this.#others.keys()) {
      if (this.#members.nameOf(id) === undefined) this.#others.delete(id);
    }
    this.#generation++;
  }

  #set(
    values: Map<string, Value> | undefined,
    id: number | undefined,
    name: string,
    data: Uint8Array,
  ): 0 | Errno {
    if (data.length > CfsLimits.statusBytes) return Errno.EFBIG;
    if (name.startsWith(RRD_PREFIX)) return this.#setRrd(name.slice(RRD_PREFIX.length), data);
    if (name === NODE_IP) return this.#setNodeIp(data, id);
    if (values !== undefined) return this.#setKey(values, name, data);
    if (id === undefined) return 0;
    // As in C, also a removal lists the node, without keys.
    const fresh = new Map<string, Value>();
    this.#others.set(id, fresh);
    this.#generation++;
    return this.#setKey(fresh, name, data);
  }

  #setKey(values: Map<string, Value>, name: string, data: Uint8Array): 0 | Errno {
    const value = values.get(name);
    if (data.length === 0) {
      if (values.delete(name)) this.#generation++;
      return 0;
    }
    if (value !== undefined) {
      value.bytes = Buffer.from(data);
      value.version++;
    } else {
      if (values.size >= this.#maxKeys) return Errno.ENOSPC;
      values.set(name, { bytes: Buffer.from(data), version: 0 });
    }
    this.#generation++;
    return 0;
  }

  #setNodeIp(data: Uint8Array, id: number | undefined): 0 | Errno {
    const ip = specialText(data, CfsLimits.nameBytes);
    if (ip === undefined) return Errno.ENOMEM;
    this.#members.setNodeIp(ip, id);
    return 0;
  }

  #setRrd(key: string, data: Uint8Array): 0 | Errno {
    const value = specialText(data, CfsLimits.rrdBytes - 1);
    if (value === undefined) return Errno.ENOMEM;
    const outcome = this.#rrd.set(key, value);
    if (outcome === 0) this.#rrdFiles?.update(key, value);
    return outcome;
  }
}

function* versionsOf(values: Map<string, Value>): IterableIterator<[string, number]> {
  for (const [name, value] of values) yield [name, value.version];
}

/** The text up to the first NUL, if `data` has 1 to `maxBytes` bytes and ends in a NUL. */
function specialText(data: Uint8Array, maxBytes: number): string | undefined {
  if (data.length === 0 || data.length > maxBytes || data[data.length - 1] !== 0) return undefined;
  const text = Buffer.from(data.buffer, data.byteOffset, data.length);
  return text.toString("latin1", 0, text.indexOf(0));
}
