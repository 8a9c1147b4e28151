/** When there is colour, and that styles without it leave text alone. */
import { describe, expect, test } from "bun:test";
import { createStyle, wantsColor } from "../../src/cli/terminal.ts";

describe("colour", () => {
  test.each([
    ["a terminal", {}, true, true],
    ["a file", {}, false, false],
    ["NO_COLOR", { NO_COLOR: "1" }, true, false],
    ["an empty NO_COLOR does not count", { NO_COLOR: "" }, true, true],
    ["NO_COLOR wins", { NO_COLOR: "0", CLICOLOR_FORCE: "1" }, true, false],
    ["CLICOLOR_FORCE into a file", { CLICOLOR_FORCE: "1" }, false, true],
    ["CLICOLOR_FORCE=0", { CLICOLOR_FORCE: "0" }, false, false],
    ["CLICOLOR=0", { CLICOLOR: "0" }, true, false],
    ["a dumb terminal", { TERM: "dumb" }, true, false],
  ])("%s", (_name, environment, isTerminal, expected) => {
    expect(wantsColor({ environment, isTerminal })).toBe(expected);
  });

  test("--no-color wins over all", () => {
    const environment = { CLICOLOR_FORCE: "1" };
    expect(wantsColor({ plain: true, environment, isTerminal: true })).toBe(false);
  });

  test("styles paint, or leave the text as it is", () => {
    expect(createStyle(true).red("no")).toBe("\u001B[31mno\u001B[39m");
    expect(createStyle(false).red("no")).toBe("no");
  });
});
