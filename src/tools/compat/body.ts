/**
 * Bodies of requests and responses as written in cases, and their form for the pipes between runner
 * and clients: in hex, the largest ones by size and checksum.
 */

/** Bytes, text (UTF-8), or `size` bytes of a fixed pattern. */
export type Body = Uint8Array | string | { readonly pattern: number };

/**
 * A body up to this size is passed in full: at PVE's message size every answer, whose JSON or lines
 * are checked. The guest list of a large cluster has hundreds of KiB.
 */
export const SHOWN_BYTES = 1024 * 1024;

/** Byte `index` of the pattern; the same formula as in native/compat-client.c. */
function patternByte(index: number): number {
  return (index * 31 + 7 + (index >>> 8)) & 0xff;
}

/** `size` bytes, each different from the next, so that a shifted copy differs. */
export function patternBytes(size: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: size }, (_, index) => patternByte(index)));
}

/** The bytes of a case's body. */
export function bytesOf(body: Body): Buffer {
  if (typeof body === "string") return Buffer.from(body, "utf8");
  if (body instanceof Uint8Array) return Buffer.from(body);
  return patternBytes(body.pattern);
}

/** A body as a word of the clients' lines: `-`, hex, or `@SIZE` for the pattern. */
export function wordOf(body: Body): string {
  if (typeof body === "object" && !(body instanceof Uint8Array)) return `@${body.pattern}`;
  return bytesOf(body).toString("hex") || "-";
}

/** The body of a word that `wordOf` made. */
export function bodyOfWord(word: string): Buffer {
  if (word === "-") return Buffer.alloc(0);
  return word.startsWith("@") ? patternBytes(Number(word.slice(1))) : Buffer.from(word, "hex");
}

/** FNV-1a, 32 bits, by which large bodies are compared. */
export function checksum(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
