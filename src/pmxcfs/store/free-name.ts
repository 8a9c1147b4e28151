/** Names for files that are kept beside a database: none takes the place of another. */
import { existsSync } from "node:fs";

/**
 * `name`, or else `name-2`, `name-3` and so on: the first that is free. `suffixes`: what is put
 * behind it, all of which must be free; default: nothing.
 */
export function freeName(name: string, suffixes: readonly string[] = [""]): string {
  let free = name;
  for (let count = 2; suffixes.some((suffix) => existsSync(free + suffix)); count++) {
    free = `${name}-${count}`;
  }
  return free;
}
