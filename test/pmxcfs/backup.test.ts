/** `config backup` and `config restore`: which copies are removed, and what a failure leaves. */
import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { basename } from "node:path";
import { backupDatabase } from "../../src/pmxcfs/rescue/backup.ts";
import { makeDb, TempDirectory } from "./support.ts";

/** The name of a copy that was made with `--keep`. */
function kept(directory: TempDirectory, keep: number): string {
  const database = directory.at("config.db");
  const made = backupDatabase({ database, target: directory.at("copies"), keep });
  if (typeof made === "string") throw new Error(made);
  return basename(made.file);
}

describe("--keep", () => {
  test("never removes the copy that was just made, although the clock went back", () => {
    using directory = new TempDirectory();
    makeDb(directory);
    directory.put("copies/config-29991231T000000Z.db", "of a wrong clock");
    directory.put("copies/config-29991231T000000Z-2.db", "of a wrong clock");
    const made = kept(directory, 2);
    expect(readdirSync(directory.at("copies")).toSorted()).toEqual([
      made,
      "config-29991231T000000Z-2.db",
    ]);
  });

  test("removes the older one of two that were made in one second", () => {
    using directory = new TempDirectory();
    makeDb(directory);
    for (const end of ["Z", "Z-2", "Z-10"])
      directory.put(`copies/config-20260101T000000${end}.db`, "");
    const made = kept(directory, 2);
    expect(readdirSync(directory.at("copies")).toSorted()).toEqual([
      "config-20260101T000000Z-10.db",
      made,
    ]);
  });
});
