/** Nodes, users and tags as entries of the cluster log store them, cached with their digests. */
import { fnv1a64, type Hash64 } from "./fnv.ts";
import { Field } from "./log-block.ts";

const DIGEST_BYTES = Field.userDigest - Field.nodeDigest;

/** The length field of a name is one byte and counts the NUL. */
export const MAX_NAME_BYTES = 255;

/** Most cached names: few users and programs of a node log. */
const KEPT_NAMES = 64;

/** A node, user or tag: truncated, with its NUL, and its digest. */
export interface Name {
  readonly bytes: Buffer;
  /** Of `bytes`; as in C, of the first 255 bytes of a name that was truncated. */
  readonly digest: Hash64;
  /** The digest as latin1 text, for a Map. */
  readonly key: string;
}

export class LogNames {
  readonly #names = new Map<string, Name>();

  /** The stored form of a name (latin1), which ends at its first NUL or at 254 bytes. */
  of(given: string): Name {
    return this.#names.get(given) ?? this.#names.get(cutName(given)) ?? this.#make(given);
  }

  #make(given: string): Name {
    const text = cutName(given);
    const hashed = Buffer.from(`${text}\0`, "latin1").subarray(0, MAX_NAME_BYTES);
    const digest = fnv1a64(hashed, 0, hashed.length);
    const bytes = Buffer.from(hashed);
    bytes[bytes.length - 1] = 0;
    const key = Buffer.alloc(DIGEST_BYTES);
    putDigest(key, digest, 0);
    const name = { bytes, digest, key: key.toString("latin1") };
    if (this.#names.size >= KEPT_NAMES) this.#names.clear();
    this.#names.set(text, name);
    return name;
  }
}

/** The part of a name that its stored form depends on. */
function cutName(name: string): string {
  const nul = name.indexOf("\0");
  return name.slice(0, nul === -1 ? MAX_NAME_BYTES : Math.min(nul, MAX_NAME_BYTES));
}

/** The digest of a name that is not truncated. */
export function digestOf(name: string): Hash64 {
  const bytes = Buffer.from(`${name}\0`, "latin1");
  return fnv1a64(bytes, 0, bytes.length);
}

/** Writes a digest at `at`: little-endian, 8 bytes. */
export function putDigest(block: Buffer, { low, high }: Hash64, at: number): void {
  block.writeUInt32LE(low, at);
  block.writeUInt32LE(high, at + 4);
}
