/** The conditions for colour, and the styles with and without it. */
import { describe, expect, test } from "bun:test";
import { canRedraw, createStyle, wantsColor } from "../../src/cli/terminal.ts";

describe("colour", () => {
  test.each([
    ["on in a terminal", {}, true, true],
    ["off in a file", {}, false, false],
    ["off with NO_COLOR", { NO_COLOR: "1" }, true, false],
    ["on with an empty NO_COLOR", { NO_COLOR: "" }, true, true],
    ["off with NO_COLOR and CLICOLOR_FORCE", { NO_COLOR: "0", CLICOLOR_FORCE: "1" }, true, false],
    ["on in a file with CLICOLOR_FORCE", { CLICOLOR_FORCE: "1" }, false, true],
    ["off in a file with CLICOLOR_FORCE=0", { CLICOLOR_FORCE: "0" }, false, false],
    ["off with CLICOLOR=0", { CLICOLOR: "0" }, true, false],
    ["off in a dumb terminal", { TERM: "dumb" }, true, false],
  ])("is %s", (_name, environment, isTerminal, expected) => {
    expect(wantsColor({ environment, isTerminal })).toBe(expected);
  });

  test("is off with --no-color, also with CLICOLOR_FORCE", () => {
    const environment = { CLICOLOR_FORCE: "1" };
    expect(wantsColor({ plain: true, environment, isTerminal: true })).toBe(false);
  });

  test("on adds escape sequences to a text, off leaves it unchanged", () => {
    expect(createStyle(true).red("no")).toBe("\u001B[31mno\u001B[39m");
    expect(createStyle(false).red("no")).toBe("no");
  });
});

test("a live view needs a terminal that moves its cursor", () => {
  const isTerminal = true;
  expect(canRedraw({ environment: { TERM: "xterm" }, isTerminal })).toBe(true);
  expect(canRedraw({ environment: {}, isTerminal })).toBe(true);
  expect(canRedraw({ environment: { TERM: "dumb" }, isTerminal })).toBe(false);
  expect(canRedraw({ environment: { TERM: "xterm" }, isTerminal: false })).toBe(false);
});
