/** New content of a file from old. The old bytes are never changed: readers may still hold them. */

/** `data` put over `bytes` at `offset`; a gap before it becomes zeros. `cuts`: it is the end. */
export function spliced(
  bytes: Uint8Array,
  offset: number,
  data: Uint8Array,
  cuts = false,
): Uint8Array {
  const end = offset + data.length;
  const made = resized(bytes, cuts ? end : Math.max(bytes.length, end));
  made.set(data, offset);
  return made;
}

/** A copy of `size` bytes: truncated, or padded with zeros. */
export function resized(bytes: Uint8Array, size: number): Uint8Array {
  const made = new Uint8Array(size);
  made.set(size < bytes.length ? bytes.subarray(0, size) : bytes);
  return made;
}
