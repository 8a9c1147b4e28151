/** Requests as words of the command line: `get-config`, or a number. */
import { REQUEST_IDS } from "../pmxcfs/requests/request-names.ts";
import { UsageFailure } from "./failure.ts";
import { nearest } from "./suggest.ts";

/** The ids of requests given by name or number. */
export function requestIds(words: readonly string[], option: string): number[] {
  return words.map((word) => {
    const id = REQUEST_IDS.get(word) ?? (/^-?\d+$/.test(word) ? Number(word) : undefined);
    if (id !== undefined) return id;
    const hint = nearest(word, REQUEST_IDS.keys());
    throw new UsageFailure(`${option}: "${word}" is no request`, hint);
  });
}
