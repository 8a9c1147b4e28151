/** The diff of two versions of a file, as text and in the page for a browser. */
import { expect, test } from "bun:test";
import type { HistoryChange } from "../../src/pmxcfs/history/change.ts";
import { History } from "../../src/pmxcfs/history/reader.ts";
import { HistoryWriter } from "../../src/pmxcfs/history/writer.ts";
import { type Side, unifiedDiff } from "../../src/tools/history/diff.ts";
import { historyPage } from "../../src/tools/history/page.ts";
import { TempDirectory } from "../pmxcfs/support.ts";

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

/** So many lines with different numbers, beginning with `from`. */
function numbers(from: number, count: number): string {
  return Array.from({ length: count }, (_, index) => `${from + index}\n`).join("");
}

test("of many lines that have nothing in common only the sizes are shown, and soon", () => {
  expect(diff(numbers(100_000, 50_000), numbers(200_000, 50_000))).toBe(
    "--- a@1\n+++ a@2\nthe contents differ (350000 bytes, then 350000)\n",
  );
  expect(diff(undefined, numbers(200_000, 50_000))).toContain("\n+249999\n");
});

/** The change of a file that made this version. */
function changed(version: number, more: Partial<HistoryChange>): HistoryChange {
  return {
    kind: "create",
    cause: "change",
    version,
    firstVersion: version,
    timeMs: 1_700_000_000_000 + version,
    writer: 0,
    path: "a",
    to: undefined,
    type: "file",
    size: 0,
    mtime: 0,
    bytes: undefined,
    isPrivate: false,
    author: undefined,
    ...more,
  };
}

test("in the page a file at the old path of a renamed one is new, and not a change of it", () => {
  using directory = new TempDirectory();
  const file = directory.at("history.db");
  using writer = HistoryWriter.open({ file, node: "n1", limits: { bytes: 2 ** 20, ageMs: 1e15 } });
  const [first, second] = ["name: one\n", "name: two\n"].map((text) => Buffer.from(text));
  writer.write([
    changed(2, { bytes: first }),
    changed(3, { kind: "rename", to: "b", bytes: first }),
    changed(4, { bytes: second }),
  ]);
  const history = History.open(file);
  if (typeof history === "string") throw new Error(history);
  using opened = history;
  const page = historyPage(opened, opened.changes(), { showSecrets: false });
  const [, data = ""] = /<script id="data"[^>]*>([^<]*)</.exec(page) ?? [];
  const diffs = (JSON.parse(data) as { diff: string }[]).map((change) => change.diff);
  expect(diffs).toEqual([
    "--- /dev/null\n+++ a@4\n@@ -0,0 +1,1 @@\n+name: two\n",
    "",
    "--- /dev/null\n+++ a@2\n@@ -0,0 +1,1 @@\n+name: one\n",
  ]);
});
