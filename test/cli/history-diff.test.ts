/** The diff of two versions of a file: of contents that have no lines to show, too. */
import { expect, test } from "bun:test";
import { type Side, unifiedDiff } from "../../src/tools/history/diff.ts";

/** One version of a file, from latin1. */
function side(label: string, text: string | undefined): Side {
  return { label, bytes: text === undefined ? undefined : Buffer.from(text, "latin1") };
}

function diff(before: string | undefined, after: string | undefined, showSecrets = false): string {
  return unifiedDiff(side("a@1", before), side("a@2", after), showSecrets);
}

test("lines that differ are shown, a file that was not there is /dev/null", () => {
  const hunk = "@@ -1,1 +1,1 @@\n-x: 1\n+x: 2\n";
  expect(diff("x: 1\n", "x: 2\n")).toBe(`--- a@1\n+++ a@2\n${hunk}`);
  expect(diff(undefined, "x: 2\n")).toBe("--- /dev/null\n+++ a@2\n@@ -0,0 +1,1 @@\n+x: 2\n");
  expect(diff("x: 1\n", "x: 1\n")).toBe("");
});

test("an empty file that is made or removed is not called a change of secrets", () => {
  expect(diff(undefined, "")).toBe("--- /dev/null\n+++ a@2\nthe file is empty\n");
  expect(diff("", undefined)).toBe("--- a@1\n+++ /dev/null\nthe file is empty\n");
});

test("bytes that are not UTF-8 are not called a change of secrets", () => {
  const sizes = "the contents differ (3 bytes, then 3)";
  expect(diff("x\u00E8\n", "x\u00E9\n")).toBe(`--- a@1\n+++ a@2\n${sizes}\n`);
  expect(diff("x\u00E8\n", "x\u00E9\n", true)).toBe(`--- a@1\n+++ a@2\n${sizes}\n`);
});

test("a change of a secret is said, and shown only on demand", () => {
  const [one, other] = ["password: one\n", "password: two\n"];
  expect(diff(one, other)).toBe("--- a@1\n+++ a@2\nonly masked secrets differ\n");
  expect(diff(one, other, true)).toContain("-password: one\n+password: two\n");
});
