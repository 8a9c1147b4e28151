/** The lines of `cluster watch`. */
import { expect, test } from "bun:test";
import { eventText } from "../../src/cli/cluster.ts";

test("control characters in any field of an event are escaped", () => {
  const odd = "\u001B[2J";
  const shown = String.raw`\x1b[2J`;
  const common = { time: odd, group: odd };
  expect(eventText({ ...common, kind: "message", from: odd, text: odd })).toBe(
    `${shown} ${shown} ${shown} ${shown}`,
  );
  expect(eventText({ ...common, kind: "members", members: [odd, "1/2"] })).toBe(
    `${shown} ${shown} members ${shown}, 1/2`,
  );
  expect(eventText({ ...common, kind: "mode", mode: odd })).toBe(`${shown} ${shown} mode ${shown}`);
});
