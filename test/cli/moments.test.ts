/** Points in time as they are typed for `history`. */
import { expect, test } from "bun:test";
import { parseMoment } from "../../src/tools/history/moments.ts";

const NOW = Date.parse("2026-11-26T12:00:00Z");

test("times ago, dates, seconds since 1970", () => {
  expect(parseMoment("2h", NOW)).toBe(NOW - 7_200_000);
  expect(parseMoment("@1700000000", NOW)).toBe(1_700_000_000_000);
  expect(parseMoment("2026-11-26T14:30:00Z", NOW)).toBe(Date.parse("2026-11-26T14:30:00Z"));
  expect(parseMoment("2024-02-29T00:00Z", NOW)).toBe(Date.parse("2024-02-29T00:00Z"));
  expect(parseMoment("9:05", NOW)).toBe(new Date(NOW).setHours(9, 5, 0, 999));
});

test.each(["24:00", "25:99", "12:60", "12:00:61", "2026-02-31", "2026-13-01", "2026-01-01T25:00"])(
  "%s is not a time: it is not taken for another one",
  (word) => {
    expect(parseMoment(word, NOW)).toBeUndefined();
  },
);

test.each(["99999999999w", "@99999999999999"])("%s is beyond every date", (word) => {
  expect(parseMoment(word, NOW)).toBeUndefined();
});
