/** Counts with their nouns, for messages. */

/** `1 file`, `2 files`, `3 directories`, `1 entry`; only for nouns with a regular plural. */
export function counted(count: number, noun: string): string {
  if (count === 1) return `1 ${noun}`;
  return `${count} ${noun.endsWith("y") ? `${noun.slice(0, -1)}ies` : `${noun}s`}`;
}
