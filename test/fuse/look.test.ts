/** The device is looked at after an answer: while that finds something, else ever more rarely. */
import { expect, test } from "bun:test";
import { availableParallelism } from "node:os";
import { Look } from "../../src/fuse/look.ts";
import { testUnless } from "../support/unless.ts";

const oneProcessor = availableParallelism() > 1 ? undefined : "needs two processors";
const NS = 20_000;

/** Lengths of the looks before `count` requests, each of which ends like `found`. */
function looks(look: Look, count: number, found: boolean): number[] {
  return Array.from({ length: count }, () => {
    const ns = look.take();
    look.ended(ns, found);
    return ns;
  });
}

testUnless(oneProcessor)("looks that find a request go on", () => {
  expect(looks(new Look(NS), 5, true)).toEqual([NS, NS, NS, NS, NS]);
});

testUnless(oneProcessor)(
  "looks that find nothing come after 1, 2, 4 and at most 64 requests",
  () => {
    const lengths = looks(new Look(NS), 400, false);
    const at = lengths.flatMap((ns, index) => (ns === 0 ? [] : [index]));
    const between = at.slice(1).map((index, place) => index - (at[place] ?? 0) - 1);
    expect(between).toEqual([1, 2, 4, 8, 16, 32, 64, 64, 64, 64, 64]);
  },
);

testUnless(oneProcessor)("one that finds something again ends the pause", () => {
  const look = new Look(NS);
  looks(look, 20, false);
  while (look.take() === 0);
  look.ended(NS, true);
  expect(looks(look, 3, true)).toEqual([NS, NS, NS]);
});

test("a look of no time is none", () => {
  expect(looks(new Look(0), 3, true)).toEqual([0, 0, 0]);
});
