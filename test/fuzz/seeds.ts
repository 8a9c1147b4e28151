/** Seeds played first, always: one for each fuzzer, and every one that found something once. */
export const SEEDS: readonly (readonly [name: string, seed: number])[] = [
  ["codecs", 1],
  ["handshake", 1],
  ["ring-reader", 1],
  ["ring-writer", 1],
  ["dispatch", 1],
  ["connection", 1],
];
