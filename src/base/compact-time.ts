/** Times in names of files. */

/** `20261126T031500Z`: UTC, sorts by time, without characters that shells or SQLite mind. */
export function compactTime(ms: number = Date.now()): string {
  return new Date(ms).toISOString().replaceAll(/[-:]|\.\d+/g, "");
}
