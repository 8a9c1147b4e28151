/** New content of a file from old. The old bytes are never changed: readers may still hold them. */

/**
 * `data` put over `bytes` at `offset`; a gap before it becomes zeros. `cuts`: it is the end. When
 * both are empty, so is the result, as in C.
 */
export function spliced(
  bytes: Uint8Array,
  offset: number,
  data: Uint8Array,
  cuts = false,
): Uint8Array {
  if (bytes.length === 0 && data.length === 0) return bytes;
  const end = offset + data.length;
  const size = cuts ? end : Math.max(bytes.length, end);
  const made = new Uint8Array(size);
  made.set(size < bytes.length ? bytes.subarray(0, size) : bytes);
  made.set(data, offset);
  return made;
}
