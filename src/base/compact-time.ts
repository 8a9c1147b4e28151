/** Times in names of files: UTC, sorted by time, no character that a shell or SQLite treats. */

/** `20261126T031500Z`. */
export function compactTime(ms: number = Date.now()): string {
  return compactTimeWithMs(ms).replace(/\d{3}Z$/, "Z");
}

/** `20261126T031500123Z`, for names that may be made more than once in a second. */
export function compactTimeWithMs(ms: number = Date.now()): string {
  return new Date(ms).toISOString().replaceAll(/[-:.]/g, "");
}
