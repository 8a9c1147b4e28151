/** What people call the twelve requests: `get-config` for GET_CONFIG, as `call` has them. */
import { CfsIpc } from "./layouts.ts";

/** Message ids by name. */
export const REQUEST_IDS: ReadonlyMap<string, number> = new Map(
  Object.entries(CfsIpc).map(([name, id]) => [name.toLowerCase().replaceAll("_", "-"), id]),
);

const NAMES = new Map([...REQUEST_IDS].map(([name, id]) => [id, name]));

/** `get-config` for 6, `request-99` for a number nobody has given a meaning. */
export function requestName(id: number): string {
  return NAMES.get(id) ?? `request-${id}`;
}
