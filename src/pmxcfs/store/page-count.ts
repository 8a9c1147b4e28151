/** How much of a database a change writes, which decides how it is written. */
import type { RowChange } from "./row-writer.ts";

const PAGE_BYTES = 4096;
/** Pages that any change touches: the table's leaf, and the one with row 0. */
const PAGES_PER_CHANGE = 2;

/**
 * The most pages that the event loop writes at once, which takes about 1 ms in a nested guest. A
 * thread writes a longer transaction in steps; gathered changes are stored before they have more.
 */
export const PAGES_AT_ONCE = 64;

/** Roughly the pages that a change writes; a deleted row counts as one. */
export function pagesOf({ deleted, replaced }: RowChange): number {
  let pages = PAGES_PER_CHANGE + deleted.length;
  for (const { data } of replaced)
    pages += Math.max(1, Math.ceil((data?.length ?? 0) / PAGE_BYTES));
  return pages;
}
