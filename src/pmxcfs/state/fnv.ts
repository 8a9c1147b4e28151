/**
 * FNV-1a with 64 bits, in two 32-bit halves: the digest by which C nodes compare node names and
 * users of cluster log entries (logger.c). BigInt would be a hundred times slower.
 */

/** A 64-bit hash as two unsigned halves. */
export interface Hash64 {
  readonly high: number;
  readonly low: number;
}

const OFFSET_HIGH = 0xcbf29ce4;
const OFFSET_LOW = 0x84222325;

/** The prime is 2^40 + 0x1b3; its upper part is a shift by 8 of the lower half. */
const PRIME_LOW = 0x1b3;
const TWO_32 = 0x1_0000_0000;

/** Hash of `bytes[from .. to)`. */
export function fnv1a64(bytes: Uint8Array, from: number, to: number): Hash64 {
  let high = OFFSET_HIGH;
  let low = OFFSET_LOW;
  for (let index = from; index < to; index++) {
    low = (low ^ (bytes[index] ?? 0)) >>> 0;
    const product = low * PRIME_LOW;
    high = (Math.imul(high, PRIME_LOW) + Math.floor(product / TWO_32) + (low << 8)) >>> 0;
    low = product >>> 0;
  }
  return { high, low };
}
