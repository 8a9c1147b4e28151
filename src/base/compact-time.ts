/** Times in file names: UTC, sortable, without characters that are special to a shell or SQLite. */

/** `20261126T031500Z`. */
export function compactTime(ms: number = Date.now()): string {
  return compactTimeWithMs(ms).replace(/\d{3}Z$/, "Z");
}

/** `20261126T031500123Z`, for names that may be made more than once per second. */
export function compactTimeWithMs(ms: number = Date.now()): string {
  return new Date(ms).toISOString().replaceAll(/[-:.]/g, "");
}
