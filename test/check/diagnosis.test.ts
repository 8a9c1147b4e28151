/** The generated documents are current, and a test provokes every code. */
import { CHECKS } from "../../src/tools/diagnosis/code.ts";
import { CODES } from "../../src/tools/diagnosis/codes.ts";
import { renderDiagnosis, renderSymptoms } from "../../src/tools/diagnosis/explain-text.ts";
import { REPOSITORY } from "../support/native.ts";
import { expect, test } from "bun:test";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

test("docs/diagnosis.md is made from today's tables (pmxcfs-ipc explain --markdown)", () => {
  const written = readFileSync(join(REPOSITORY, "docs", "diagnosis.md"), "utf8");
  expect(written).toBe(renderDiagnosis());
});

test("docs/symptoms.md is made from today's tables (pmxcfs-ipc explain --list --markdown)", () => {
  const written = readFileSync(join(REPOSITORY, "docs", "symptoms.md"), "utf8");
  expect(written).toBe(renderSymptoms());
});

test("for every code a test expects its line, fix and exit code", () => {
  const tests = readdirSync(import.meta.dir).filter((name) => name.endsWith(".test.ts"));
  const text = tests.map((name) => readFileSync(join(import.meta.dir, name), "utf8")).join("\n");
  const expected = (code: string) =>
    new RegExp(`(expectFound|expectRequest)\\([\\s\\S]{0,120}"${code}"`).test(text) ||
    text.includes(`code: "${code}"`);
  expect(Object.keys(CODES).filter((code) => !expected(code))).toEqual([]);
});

test("every check has a code, or only passes and skips", () => {
  const withCodes = new Set<string>(Object.values(CODES).map(({ check }) => check));
  expect(Object.keys(CHECKS).filter((check) => !withCodes.has(check))).toEqual(["clients"]);
});
