/** The parser of GET_GUEST_CONFIG_PROPERTY(S), case by case. */
import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { indexProperties, scanProperties } from "../../src/pmxcfs/state/guest-config.ts";

const one = (config: string, name: string): string | undefined => scanProperties(config, [name])[0];

test.each([
  ["plain", "name: web\n", "web"],
  ["no space", "name:web\n", "web"],
  ["white space of all kinds on both sides", "name: \t\v\f\r web \t\r\n", "web"],
  ["no newline at the end", "name: web", "web"],
  ["nothing after the colon is absent", "name:\n", undefined],
  ["one space is itself", "name: \n", " "],
  ["of white space only the last character is left", "name: \t \v\n", "\v"],
  ["cut at a NUL", "name: ab\0cd\n", "ab"],
  ["white space before a NUL stays", "name: ab \0cd\n", "ab "],
  ["a NUL first is absent", "name: \0ab\n", undefined],
  ["a NUL alone is absent", "name:\0\n", undefined],
  ["colons belong to the value", "name: a: b: c\n", "a: b: c"],
  ["a longer name is another one", "name0: x\n", undefined],
  ["a shorter name is another one", "nam: x\n", undefined],
  ["a space before the colon is another name", "name : x\n", undefined],
  ["not at the line start", " name: x\n", undefined],
  ["after an empty line", "\n\nname: x\n", "x"],
  ["a section ends it", "cores: 1\n[snap]\nname: x\n", undefined],
  ["a section at the start", "[snap]\nname: x\n", undefined],
  ["a bracket inside a line does not", "cores: [1]\n#[x]\nname: x\n", "x"],
  ["letter case matters", "NAME: x\n", undefined],
  ["only of two: the second", "name: 1\nname: 2\nname: 3\n", "2"],
  ["of two lines the second", "name: 1\nname: 2\n", "2"],
  ["an absent line between does not count", "name: 1\nname:\nname: 2\nname: 3\n", "2"],
])("%s", (_, config, expected) => {
  expect(one(config, "name")).toBe(expected);
});

test("the empty name finds a line that begins with a colon", () => {
  expect(one(":empty\n", "")).toBe("empty");
});

test("a name with a colon finds its line, and so does the part before the colon", () => {
  expect(scanProperties("a:b: c\n", ["a:b", "a"])).toEqual(["c", "b: c"]);
});

test("the scan ends when there are as many repeats as names", () => {
  const config = "name: 1\ncores: 1\nname: 2\ncores: 2\nname: 3\nlock: late\n";
  expect(scanProperties(config, ["name", "cores", "lock"])).toEqual(["3", "2", undefined]);
  expect(scanProperties(config, ["cores", "name"])).toEqual(["2", "2"]);
  expect(scanProperties(config, ["cores", "cores"])).toEqual(["2", "2"]);
});

test("a name requested three times counts each repeat three times, which may skip the end", () => {
  const config = "a: 1\na: 2\na: 3\na: 4\nb: 5\n";
  // 2nd line: 2 repeats for 3 names; 3rd line: 4, no longer equal to 3, so the scan continues.
  expect(scanProperties(config, ["a", "a", "b"])).toEqual(["4", "4", "5"]);
});

test("without repeated lines the index gives the same result as the scan", () => {
  const name = fc.constantFrom("a", "ab", "name", "cores", "");
  const blank = fc.constantFrom("", " ", "\t", "  ");
  const text = fc.string({ unit: fc.constantFrom("x", " ", "\t", "\0", "[", "é", "\\", '"') });
  const line = fc.tuple(name, fc.constantFrom(":", ""), blank, text).map((parts) => parts.join(""));
  const config = fc.array(line, { maxLength: 8 }).map((lines) => lines.join("\n"));
  fc.assert(
    fc.property(config, fc.uniqueArray(name, { minLength: 1 }), (lines, names) => {
      const index = indexProperties(lines);
      if (index.repeats) return;
      expect(names.map((each) => index.values.get(each))).toEqual([
        ...scanProperties(lines, names),
      ]);
    }),
    { numRuns: 2000 },
  );
});
