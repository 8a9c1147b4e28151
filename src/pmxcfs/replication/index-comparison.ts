/** The indexes in the members' STATEs: which member leads, and what the others lack. */
import type { Steps } from "../../base/steps.ts";
import { addDifferences, type IndexHead } from "./dcdb-message.ts";

/** Index of the highest version; among equals, of the latest mtime; among those, the first. */
export function leaderOf(heads: readonly IndexHead[]): number {
  let best = 0;
  for (const [index, head] of heads.entries()) {
    const other = heads[best] ?? head;
    const newer = head.version > other.version;
    if (newer || (head.version === other.version && head.mtime > other.mtime)) best = index;
  }
  return best;
}

/** Inodes of `index` that at least one of `others` lacks or has with another digest. */
export function* differing(index: Buffer, others: readonly Buffer[]): Steps<Set<number>> {
  const found = new Set<number>();
  const compared: Buffer[] = [];
  for (const other of others) {
    if (compared.some((done) => done.equals(other))) continue;
    compared.push(other);
    yield* addDifferences(index, other, found);
  }
  return found;
}
