/** --only CODE: which probes run. */
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { CHECKS, type CheckName } from "../../src/tools/diagnosis/code.ts";
import { wanted } from "../../src/tools/check/report.ts";

const PROBES = join(import.meta.dir, "../../src/tools/check/probes");

function checksRun(only: readonly string[]): CheckName[] {
  return (Object.keys(CHECKS) as CheckName[]).filter((check) => wanted(check, { only, skip: [] }));
}

test("a code is looked for by every probe that finds it, also by those of other checks", () => {
  expect(checksRun(["SHM_FULL"])).toEqual(["memory"]);
  expect(checksRun(["ROOT_GID_UNUSUAL"])).toEqual(["identity", "handshake"]);
  expect(checksRun(["NODENAME_DIFFERS"])).toEqual(["name", "cluster"]);
  expect(checksRun(["CLOCK_BACKWARDS"])).toEqual(["database", "rrd", "resources"]);
});

test("a code that a file of probes reports is looked for by a check of that file", () => {
  for (const file of readdirSync(PROBES)) {
    const text = readFileSync(join(PROBES, file), "utf8");
    const checks = [...text.matchAll(/^ {2}check: "(\w+)",$/gm)].map(([, check = ""]) => check);
    const codes = [...text.matchAll(/found\("([A-Z_]+)"/g)].map(([, code = ""]) => code);
    // Files without a probe of their own have parts of another one.
    const missed = codes.filter((code) => !checksRun([code]).some((run) => checks.includes(run)));
    expect([file, checks.length === 0 ? [] : missed]).toEqual([file, []]);
  }
});
