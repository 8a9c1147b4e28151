// Every recording of a cluster of C servers, replayed: the machine sends byte for byte what they
// sent, and ends with the same database. `bun run traces DIR` replays others.
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { replay } from "./traces/main.ts";

const GOLDEN = join(import.meta.dir, "../golden");
/** Three C servers (9.1.6) on corosync 3.1.7; `recordings` has bad messages and busy partitions. */
const FOLDERS = ["cluster", "recordings"];

describe("a recording of C servers", () => {
  for (const folder of FOLDERS) {
    for (const { name, problems } of replay(join(GOLDEN, folder))) {
      test(`${name}, is reproduced`, () => {
        expect(problems).toEqual([]);
      });
    }
  }
});
