/** The manual's table of differences has a proof for each row, and a row for each deviation. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { loadVectors } from "../support/vectors.ts";
import { withRequests } from "./request-table.ts";
import { DIFFERENCES, MANUAL, withTable } from "./differences.ts";

const ROOT = join(import.meta.dir, "../..");
const manual = readFileSync(MANUAL, "utf8");

/** The text without the spaces and dashes with which the formatter aligns columns. */
function unaligned(text: string): string {
  return text
    .replaceAll(/ +/g, " ")
    .replaceAll(/\| -+ (?=\|)/g, "| - ")
    .replaceAll(/-{3,}/g, "-");
}

describe("the table of differences", () => {
  test("is current", () => {
    expect(unaligned(manual)).toBe(unaligned(withTable(manual)));
  });

  test("names each vector that deviates, and only those", () => {
    const deviating = loadVectors().filter((vector) => vector.expect.deviation !== undefined);
    const named = DIFFERENCES.flatMap(({ vectors = [] }) => vectors);
    expect(named.toSorted()).toEqual(deviating.map(({ name }) => name).toSorted());
  });

  test("names tests that exist", () => {
    for (const { tests = [] } of DIFFERENCES) {
      for (const { file, name } of tests) {
        expect(readFileSync(join(ROOT, file), "utf8")).toContain(`"${name}`);
      }
    }
  });

  test("has no row without proof", () => {
    const unproved = DIFFERENCES.filter(
      ({ vectors = [], tests = [] }) => vectors.length + tests.length === 0,
    );
    expect(unproved).toEqual([]);
  });
});

test("the manual's table of requests is that of the code", () => {
  expect(unaligned(manual)).toBe(unaligned(withRequests(manual)));
});
