/** Requests on the command line: `get-config`, an alias, a C name, or a number. */
import { REQUEST_IDS, requestNamed } from "../pmxcfs/requests/wording.ts";
import { UsageFailure } from "./failure.ts";
import { suggest } from "./suggest.ts";

/** Ids are 32-bit signed on the wire. */
export const ID_RANGE = { min: -0x8000_0000, max: 0x7fff_ffff } as const;

/** The id of a request given by name or number; undefined for other words. */
export function requestId(word: string): number | undefined {
  const id = requestNamed(word)?.id ?? (/^-?\d+$/.test(word) ? Number(word) : Number.NaN);
  return id >= ID_RANGE.min && id <= ID_RANGE.max ? id : undefined;
}

/** The ids of requests given by name or number. */
export function requestIds(words: readonly string[], option: string): number[] {
  return words.map((word) => {
    const id = requestId(word);
    if (id !== undefined) return id;
    const hint = suggest(word, REQUEST_IDS.keys());
    throw new UsageFailure(`${option}: "${word}" is not a request`, hint);
  });
}
