/** The time of a system call, as measured. */
import { expect, test } from "bun:test";
import { systemCallNs } from "../../src/platform/system-call.ts";

test("a system call takes some time, at most 2 us, and the same at the next question", () => {
  const measured = systemCallNs();
  expect(measured).toBeGreaterThan(0);
  expect(measured).toBeLessThanOrEqual(2000);
  expect(systemCallNs()).toBe(measured);
});
