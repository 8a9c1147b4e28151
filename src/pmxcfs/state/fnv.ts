/**
 * 64-bit FNV-1a in two 32-bit halves: C nodes compare node names and users of cluster log entries
 * by this digest (logger.c). BigInt would be a hundred times slower.
 */

/** A 64-bit hash as two unsigned halves. */
export interface Hash64 {
  readonly high: number;
  readonly low: number;
}

const OFFSET_HIGH = 0xcbf29ce4;
const OFFSET_LOW = 0x84222325;

/** The prime is 2^40 + 0x1b3; multiplying by 2^40 shifts the low half by 8 into the high one. */
const PRIME_LOW = 0x1b3;
const TWO_32 = 0x1_0000_0000;

/** The hash of `bytes[from .. to)`. */
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
