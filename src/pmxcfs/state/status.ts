/**
 * The status store behind SET_STATUS and GET_STATUS: one key-value map per node, of which only
 * this node's is written here, and the two special names `nodeip` and `rrd/KEY`, which live
 * elsewhere. Values are copied in and never changed afterwards. C counterpart: status.c, kvhash.
 */
import { Errno } from "../../base/errno.ts";
import { CfsLimits } from "../../base/limits.ts";

interface Value {
  bytes: Buffer;
  /** 0 when created, one more with every set, the same bytes included. */
  version: number;
}

/** Where `nodeip` goes. */
export interface NodeAddress {
  readonly nodeName: string;
  setNodeIp(ip: string): void;
}

/** Where `rrd/KEY` goes, to be dumped. */
export interface RrdEntries {
  set(key: string, value: string): 0 | Errno;
}

/** Where `rrd/KEY` goes besides, to be written to files some time later. Must not block. */
export interface RrdArchive {
  update(key: string, value: string): void;
}

export interface StatusOptions {
  readonly members: NodeAddress;
  readonly rrd: RrdEntries;
  readonly rrdFiles?: RrdArchive;
  readonly maxKeys?: number;
}

const RRD_PREFIX = "rrd/";
const NODE_IP = "nodeip";

/** The key-value maps of all nodes. Names are latin1, at most 255 characters. */
export class Status {
  readonly #members: NodeAddress;
  readonly #rrd: RrdEntries;
  readonly #rrdFiles: RrdArchive | undefined;
  readonly #maxKeys: number;
  readonly #own = new Map<string, Value>();
  readonly #nodes: Map<string, Map<string, Value>>;
  #generation = 0;

  constructor(options: StatusOptions) {
    this.#members = options.members;
    this.#rrd = options.rrd;
    this.#rrdFiles = options.rrdFiles;
    this.#maxKeys = options.maxKeys ?? CfsLimits.statusKeys;
    this.#nodes = new Map([[options.members.nodeName, this.#own]]);
  }

  /** Moves whenever anything that GET_FS_VERSION shows of the maps moves. */
  get generation(): number {
    return this.#generation;
  }

  /** This node's keys. */
  get count(): number {
    return this.#own.size;
  }

  /**
   * SET_STATUS. Empty `data` removes the key, which need not exist. EFBIG above 32 KiB; ENOMEM
   * for a `nodeip` or `rrd/` value that is empty, too long or lacks its NUL (as in C); ENOSPC
   * for one key more than the bound, which C does not have.
   */
  set(name: string, data: Uint8Array): 0 | Errno {
    if (data.length > CfsLimits.statusBytes) return Errno.EFBIG;
    if (name.startsWith(RRD_PREFIX)) return this.#setRrd(name.slice(RRD_PREFIX.length), data);
    if (name === NODE_IP) return this.#setNodeIp(data);
    return this.#setKey(name, data);
  }

  /** GET_STATUS: the bytes as they were set; an empty node means this one. */
  get(node: string, name: string): Uint8Array | undefined {
    const values = node === "" ? this.#own : this.#nodes.get(node);
    return values?.get(name)?.bytes;
  }

  /** Every node, this one first, with its keys' versions in the order of creation. */
  *versions(): IterableIterator<[node: string, keys: Iterable<[name: string, version: number]>]> {
    for (const [node, values] of this.#nodes) yield [node, versionsOf(values)];
  }

  #setKey(name: string, data: Uint8Array): 0 | Errno {
    const value = this.#own.get(name);
    if (data.length === 0) {
      if (this.#own.delete(name)) this.#generation++;
      return 0;
    }
    if (value !== undefined) {
      value.bytes = Buffer.from(data);
      value.version++;
    } else {
      if (this.#own.size >= this.#maxKeys) return Errno.ENOSPC;
      this.#own.set(name, { bytes: Buffer.from(data), version: 0 });
    }
    this.#generation++;
    return 0;
  }

  #setNodeIp(data: Uint8Array): 0 | Errno {
    const ip = specialText(data, CfsLimits.nameBytes);
    if (ip === undefined) return Errno.ENOMEM;
    this.#members.setNodeIp(ip);
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

/** 1 to `maxBytes` bytes that end in NUL, up to their first NUL; else undefined. */
function specialText(data: Uint8Array, maxBytes: number): string | undefined {
  if (data.length === 0 || data.length > maxBytes || data[data.length - 1] !== 0) return undefined;
  const text = Buffer.from(data.buffer, data.byteOffset, data.length);
  return text.toString("latin1", 0, text.indexOf(0));
}
