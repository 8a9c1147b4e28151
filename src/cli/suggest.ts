/** Finds the word that was probably meant, by edit distance; a transposition counts as one edit. */

/** Optimal string alignment distance of two short words. */
function distance(left: string, right: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let row = 1; row <= left.length; row++) {
    const current = [row];
    for (let column = 1; column <= right.length; column++) {
      const same = left[row - 1] === right[column - 1];
      let best = Math.min(
        (previous[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (previous[column - 1] ?? 0) + (same ? 0 : 1),
      );
      const swapped = left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      if (row > 1 && column > 1 && swapped) best = Math.min(best, (before[column - 2] ?? 0) + 1);
      current.push(best);
    }
    before = previous;
    previous = current;
  }
  return previous[right.length] ?? 0;
}

/**
 * The closest of `candidates`; undefined if none is close (up to a third of the word may differ). A
 * unique prefix counts as close: `vers` finds `version`.
 */
export function suggest(word: string, candidates: Iterable<string>): string | undefined {
  let found: string | undefined;
  let least = Math.max(1, Math.floor(word.length / 3)) + 1;
  const beginnings: string[] = [];
  for (const candidate of candidates) {
    const apart = distance(word, candidate);
    if (apart < least) {
      least = apart;
      found = candidate;
    }
    if (word.length >= 2 && candidate.startsWith(word)) beginnings.push(candidate);
  }
  return found ?? (beginnings.length === 1 ? beginnings[0] : undefined);
}
