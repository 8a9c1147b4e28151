/** Sizes and durations with units: `64K`, `16M`; `250ms`, `2s`. */

const BYTE_UNITS = ["", "K", "M", "G", "T"];

/** Parses `1.5M`, `64KiB`, `4096`: units are powers of 1024, a fraction of a byte is dropped. */
export function parseBytes(word: string): number | undefined {
  const found = /^(\d+(?:\.\d+)?)\s*(?:([kmgt])(?:i?b)?|b)?$/i.exec(word);
  if (found === null) return undefined;
  return Math.floor(Number(found[1]) * 1024 ** BYTE_UNITS.indexOf((found[2] ?? "").toUpperCase()));
}

/** 16777216 as `16M`; a number that is not a multiple of a unit stays in bytes. */
export function showBytes(size: number): string {
  let left = size;
  let unit = 0;
  while (left >= 1024 && left % 1024 === 0 && unit < BYTE_UNITS.length - 1) {
    left /= 1024;
    unit++;
  }
  return `${left}${BYTE_UNITS[unit] ?? ""}`;
}

const MILLISECONDS: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  "": 1,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
};

/** Parses `250`, `250ms`, `2s`, `1.5s`, `5m`, `1h`; without a unit, milliseconds. */
export function parseMilliseconds(word: string): number | undefined {
  const found = /^(\d+(?:\.\d+)?)\s*(us|ms|s|min|m|h)?$/.exec(word);
  if (found === null) return undefined;
  return Number(found[1]) * (MILLISECONDS[found[2] ?? ""] ?? 1);
}

/** Longest time of a timer: a longer one overflows 32 bits, and would be over at once. */
export const MOST_MILLISECONDS = 596 * 3_600_000;

/** 2000 as `2s`, 250 as `250ms`, two hours as `2h`. */
export function showMilliseconds(time: number): string {
  if (time > 0 && time % 3_600_000 === 0) return `${time / 3_600_000}h`;
  return time >= 1000 && time % 1000 === 0 ? `${time / 1000}s` : `${time}ms`;
}
