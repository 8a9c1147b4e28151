/** Parts of the cluster runtime that need no corosync: joining again, a clock that is set back. */
import { describe, expect, test } from "bun:test";
import { ClockWatch } from "../../src/pmxcfs/replication/services/clock-watch.ts";
import { RejoinPolicy } from "../../src/pmxcfs/replication/services/rejoin-policy.ts";

const works = (): boolean => true;
const fails = (): boolean => false;

describe("joining again", () => {
  test("is possible at once the first time, then after growing pauses", () => {
    const policy = new RejoinPolicy();
    let now = 0;
    const pauses: number[] = [];
    for (let round = 0; round < 9; round++) {
      policy.left("protocol", 1000, now);
      pauses.push(policy.pauseMs(now));
      now += policy.pauseMs(now);
      expect(policy.mayJoin(now, works)).toBe(true);
      policy.joined();
    }
    expect(pauses).toEqual([0, 1, 2, 4, 8, 16, 32, 60, 60].map((seconds) => seconds * 1000));
  });

  test("waits 6 s at most, as C does, when the network is cut again and again", () => {
    const policy = new RejoinPolicy();
    let now = 0;
    const pauses: number[] = [];
    for (let round = 0; round < 8; round++) {
      policy.left("no-quorum", 20_000, now);
      pauses.push(policy.pauseMs(now));
      now += policy.pauseMs(now);
      policy.joined();
    }
    expect(pauses).toEqual([0, 1, 2, 4, 6, 6, 6, 6].map((seconds) => seconds * 1000));
    // The pause for faults of the node itself continues from there.
    policy.left("mismatch", 0, now);
    policy.left("mismatch", 0, now);
    expect(policy.pauseMs(now)).toBe(12_000);
  });

  test("is possible at once again after a minute of being synced", () => {
    const policy = new RejoinPolicy();
    policy.left("mismatch", 0, 0);
    policy.left("mismatch", 0, 0);
    policy.left("mismatch", 60_000, 0);
    expect(policy.mayJoin(0, works)).toBe(true);
  });

  test("needs a successful write after a failed one, and never follows a newer version", () => {
    const policy = new RejoinPolicy();
    policy.left("database", 0, 0);
    expect(policy.mayJoin(1_000_000, fails)).toBe(false);
    expect(policy.mayJoin(1_000_000, works)).toBe(true);
    policy.left("version", 0, 0);
    expect(policy.mayJoin(Number.MAX_SAFE_INTEGER, works)).toBe(false);
  });
});

describe("a clock", () => {
  test("that is set back is reported once, with the time until which locks are stuck", () => {
    const at = { wall: 1_700_000_000_000, steady: 0 };
    const lines: string[] = [];
    const watch = new ClockWatch({
      wall: () => at.wall,
      steady: () => at.steady,
      locksAfter: (seconds) => (seconds === 1_700_000_000 ? ["a", "b"] : ["wrong time"]),
      report: (text) => lines.push(text),
    });
    const pass = (seconds: number, stepMs: number): void => {
      at.steady += seconds * 1000;
      at.wall += seconds * 1000 + stepMs;
      watch.tick();
    };
    pass(1, 0);
    pass(1, -4000);
    pass(1, 3_600_000);
    expect(lines).toEqual([]);
    pass(1, -3_600_000);
    pass(1, 0);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain("went back by 3600 s: until it shows 2023-11-14T23:13:20");
    expect(lines[0]).toContain("cannot refresh its locks a, b below priv/lock");
  });
});
