/** The report of the benchmark: ratios, goals, the HTML page, and the baseline. */
import { describe, expect, test } from "bun:test";
import { regressions, updated } from "../../bench/baseline.ts";
import { html } from "../../bench/html.ts";
import { meets, ratio, rows } from "../../bench/report.ts";
import type { Outcome } from "../../bench/run.ts";
import type { Goal, Measured } from "../../bench/scenario.ts";
import { SCENARIOS } from "../../bench/scenarios.ts";

function outcome(c: Measured, ours: Measured, name = "one client, empty"): Outcome {
  const runs = { c: [c], ours: [ours] };
  return { name, group: "core", foreignLoad: 0, runs, median: { c, ours } };
}

describe("a goal", () => {
  test("for a ratio is met at its bound", () => {
    const goal: Goal = { metric: "p50", atMost: 0.5 };
    expect(meets(outcome({ p50: 100 }, { p50: 50 }), goal)).toBe(true);
    expect(meets(outcome({ p50: 100 }, { p50: 51 }), goal)).toBe(false);
  });

  test("for the p99 that a second load adds is a bound on our value alone", () => {
    const goal: Goal = { metric: "p99Added", below: 1_000_000 };
    const apart = outcome({ p99Added: 9_000_000 }, { p99Added: 999_999 });
    expect(meets(apart, goal)).toBe(true);
    expect(ratio(apart, "p99Added")).toBeUndefined();
    expect(rows(apart, [goal])).toEqual([
      ["p99 above alone", "9,000 us", "1,000 us", "", "", "", "< 1,000 us: met"],
    ]);
    expect(meets(outcome({ p99Added: 0 }, { p99Added: 1_000_000 }), goal)).toBe(false);
  });
});

test("without a C server a row has our figures, and a goal for the ratio is not measured", () => {
  const { median, ...rest } = outcome({}, { perSecond: 80 });
  const alone: Outcome = { ...rest, median: { ours: median.ours } };
  expect(rows(alone, [{ metric: "perSecond", atLeast: 2 }])).toEqual([
    ["per second", "", "80", "", "", "", ">= 2x: not measured"],
  ]);
});

test("a goal for the floor is compared with the floor", () => {
  const goal: Goal = { metric: "perSecond", divisor: "floor", atLeast: 0.75 };
  const core = outcome({ perSecond: 10 }, { perSecond: 80 });
  const withFloor = { ...core, median: { ...core.median, floor: { perSecond: 100 } } };
  expect(meets(withFloor, goal)).toBe(true);
  expect(ratio(withFloor, "perSecond", "floor")).toBe(0.8);
  expect(rows(withFloor, [goal])[0]).toEqual([
    "per second",
    "10",
    "80",
    "100",
    "8x",
    "0.8x",
    ">= 0.75x of the floor: met",
  ]);
  const slower = { ...withFloor, median: { ...withFloor.median, floor: { perSecond: 110 } } };
  expect(meets(slower, goal)).toBe(false);
  expect(updated({}, [withFloor])).toEqual({ "one client, empty": { perSecond: 0.8 } });
});

test("the HTML page loads nothing else, and has every row", () => {
  const core = outcome({ perSecond: 10, p50: 9 }, { perSecond: 80, p50: 1 });
  const report = {
    machine: { cpu: '<2> x "A"' },
    taken: "2026-01-01",
    outcomes: [core],
  };
  const page = html(report, SCENARIOS);
  expect(page).not.toMatch(/(src|href)=|https?:|@import|<script/);
  expect(page).toContain("one client, empty");
  expect(page).toContain("&lt;2&gt; x &quot;A&quot;");
});

describe("the baseline", () => {
  const before = { a: { perSecond: 20 }, b: { perSecond: 2 } };

  test("keeps the ratios of rows that were not measured", () => {
    const measured = outcome({ perSecond: 10, p50: 1 }, { perSecond: 30, p50: 1 }, "b");
    expect(updated(before, [measured])).toEqual({ a: { perSecond: 20 }, b: { perSecond: 3 } });
  });

  test("gets no ratio with the divisor 0", () => {
    const measured = outcome({ perSecond: 0 }, { perSecond: 30 }, "c");
    expect(updated(before, [measured])).toEqual(before);
  });
});

describe("the rows", () => {
  test("have different names, because earlier figures are kept by name", () => {
    const names = SCENARIOS.map(({ name }) => name);
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });

  test("with a goal for the effect of a second load have one, and measure without it first", () => {
    const judged = SCENARIOS.filter(({ goals = [] }) =>
      goals.some(({ metric }) => metric === "p99Added" || metric === "slowedBy"),
    );
    expect(judged.length).toBeGreaterThan(3);
    for (const scenario of judged) {
      expect(scenario).toMatchObject({ kind: "load", beside: expect.anything(), alone: true });
    }
  });

  test("of the smoke run are compared with the baseline, except idle ones", () => {
    const good = {
      perSecond: 1000,
      cpuMsPer100k: 1,
      cpuUsPerConnect: 1,
      filesKiB: 1,
      connectionKiB: 1,
    };
    const bad = {
      perSecond: 1,
      cpuMsPer100k: 1e5,
      cpuUsPerConnect: 1e5,
      filesKiB: 1e5,
      connectionKiB: 1e5,
    };
    const watched = SCENARIOS.filter(({ smoke }) => smoke !== undefined);
    const unnoticed = watched.filter(({ name, kind }) => {
      return kind !== "idle" && regressions(outcome(good, bad, name)).length === 0;
    });
    expect(unnoticed.map(({ name }) => name)).toEqual([]);
  });
});
