/** Requests on the command line: `get-config`, an alias, a C name, or a number. */
import { REQUEST_IDS, requestNamed } from "../pmxcfs/requests/wording.ts";
import { UsageFailure } from "./failure.ts";
import { suggest } from "./suggest.ts";

/** The id of a request given by name or number; undefined for other words. */
export function requestId(word: string): number | undefined {
  return requestNamed(word)?.id ?? (/^-?\d+$/.test(word) ? Number(word) : undefined);
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
