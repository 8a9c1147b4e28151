// Every recording of a cluster of C servers, replayed: the machine sends byte for byte what they
// sent, and ends with the same database. `bun run traces DIR` replays others.
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { replay } from "./traces/main.ts";

const RECORDINGS = join(import.meta.dir, "../golden/cluster");

describe("a recording of C servers", () => {
  for (const { name, problems } of replay(RECORDINGS)) {
    test(`${name}, is reproduced`, () => {
      expect(problems).toEqual([]);
    });
  }
});
