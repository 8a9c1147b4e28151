/** The line of a finding: its words fit its numbers. */
import { expect, test } from "bun:test";
import { counted } from "../../src/base/counted.ts";
import { found } from "../../src/tools/check/finding.ts";
import { numbered } from "../../src/tools/diagnosis/code.ts";
import { CODES, type CodeName, rowOf } from "../../src/tools/diagnosis/codes.ts";
import { codeJson } from "../../src/tools/diagnosis/explain-text.ts";

function stuck(count: number): string {
  return found("CLIENTS_STUCK", { count, list: "7 (ls)" }).text;
}

test("one and several have their own words, in reports and in the list of codes", () => {
  expect(stuck(1)).toBe("1 process sleeps uninterruptibly (state D): 7 (ls)");
  expect(stuck(2)).toBe("2 processes sleep uninterruptibly (state D): 7 (ls)");
  const offline = { count: 1, nodes: 3, list: "n3" };
  expect(found("MEMBERS_OFFLINE", offline).text).toBe("1 of 3 nodes is offline: n3");
  const stale = { count: 1, size: 3.1, path: "/dev/shm", service: "pve2" };
  expect(found("SHM_STALE", stale).text).toBe(
    "1 ring directory of dead pmxcfs servers holds 3.1 MiB of /dev/shm",
  );
  expect(codeJson("CLIENTS_STUCK").line).toBe(
    "COUNT processes sleep uninterruptibly (state D): LIST",
  );
});

test("the words of a number belong to a number of the same line", () => {
  const lines = (Object.keys(CODES) as CodeName[]).map((code) => rowOf(code).line);
  for (const line of lines) {
    const names = [...line.matchAll(/\{(\w+):/g)].map(([, name = ""]) => name);
    expect(names.filter((name) => !line.includes(`{${name}}`))).toEqual([]);
    expect(numbered(line)).not.toMatch(/\{\w+:/);
  }
});

test("nouns are counted with their plural", () => {
  expect([counted(1, "key"), counted(2, "key"), counted(0, "entry"), counted(3, "node")]).toEqual([
    "1 key",
    "2 keys",
    "0 entries",
    "3 nodes",
  ]);
});
