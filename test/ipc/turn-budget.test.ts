/** How long one connection is served before others: bounded by time if its requests are slow. */
import { expect, test } from "bun:test";
import { TurnBudget } from "../../src/ipc/scheduling/turn-budget.ts";

const TURN_NS = 2_000_000;

/** The number of requests served in a turn, up to 1000, if each takes this long. */
function servedIn(budget: TurnBudget, requestNs: number): number {
  budget.begin();
  for (let served = 1; ; served++) {
    const until = Bun.nanoseconds() + requestNs;
    while (Bun.nanoseconds() < until);
    if (served === 1000 || budget.isOver(served)) return served;
  }
}

test("a turn serves few slow requests, independent of earlier turns", () => {
  const budget = new TurnBudget(TURN_NS);
  for (const requestNs of [1_000_000, 300_000, 10_000_000]) {
    const most = Math.ceil(TURN_NS / requestNs) + 1;
    expect(servedIn(budget, requestNs)).toBeLessThanOrEqual(most);
  }
  expect(servedIn(budget, 10_000_000)).toBe(2);
});

test("a turn serves many quick requests, with few clock reads", () => {
  const budget = new TurnBudget(60_000 * TURN_NS);
  expect(servedIn(budget, 0)).toBe(1000);
});
