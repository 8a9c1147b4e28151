/** Seeds that run first: one for each fuzzer, and every seed that found a bug. */
export const SEEDS: readonly (readonly [name: string, seed: number])[] = [
  ["codecs", 1],
  ["handshake", 1],
  ["ring-reader", 1],
  ["ring-writer", 1],
  ["dispatch", 1],
  ["connection", 1],
];
