/** Counts with their nouns, for messages. */

/** `1 file`, `2 files`, `3 keys`, `4 directories`; only for nouns with a regular plural. */
export function counted(count: number, noun: string): string {
  if (count === 1) return `1 ${noun}`;
  return `${count} ${/[^aeiou]y$/.test(noun) ? `${noun.slice(0, -1)}ies` : `${noun}s`}`;
}
