/**
 * File contents whose first line defines all other bytes, so that a reader on any node can check
 * them.
 */

/** The least size, for the first line. */
const LEAST_BYTES = 64;

function fill(bytes: Buffer, from: number, number: number): void {
  for (let at = from; at < bytes.byteLength; at++)
    bytes[at] = (number * 31 + at * 7 + (at >> 8)) & 0xff;
}

/** Content `number` of `owner`, of `size` bytes, at least 64. */
export function contentOf(owner: string, number: number, size: number): Buffer {
  const bytes = Buffer.alloc(Math.max(size, LEAST_BYTES));
  const written = bytes.write(`${owner} ${number} ${bytes.byteLength}\n`, "latin1");
  fill(bytes, written, number);
  return bytes;
}

/** The first error in bytes that `contentOf` should have made, or undefined. */
export function wrongIn(bytes: Uint8Array): string | undefined {
  const given = Buffer.from(bytes);
  const [, owner = "", number = "", size = ""] =
    /^(\w+) (\d+) (\d+)\n/.exec(given.toString("latin1", 0, LEAST_BYTES)) ?? [];
  if (Number(size) !== given.byteLength || size === "") {
    const head = JSON.stringify(given.toString("latin1", 0, 24));
    return `${given.byteLength} bytes that begin ${head}`;
  }
  const expected = contentOf(owner, Number(number), given.byteLength);
  if (expected.equals(given)) return undefined;
  const at = expected.findIndex((byte, index) => byte !== given[index]);
  return `byte ${at} of ${size} of content ${number} is ${given[at]}, not ${expected[at]}`;
}
