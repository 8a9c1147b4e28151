/** Counters of applied changes: how many, how long they took, and what reported them. */
import { describe, expect, test } from "bun:test";
import { linkSync, rmSync, writeFileSync } from "node:fs";
import { DirectorySource } from "../../src/pmxcfs/store/directory.ts";
import { Memdb } from "../../src/pmxcfs/state/memdb.ts";
import { RELOAD_BOUNDS_MS, type ReloadCounts } from "../../src/pmxcfs/store/reloads.ts";
import { silentLog } from "../../src/base/log.ts";
import { eventually } from "../support/eventually.ts";
import { GUEST, makeDb, open, plant, TempDirectory, textOf, Writer } from "./support.ts";

function sum(counts: readonly number[]): number {
  return counts.reduce((total, each) => total + each, 0);
}

/** The number of changes, by what reported them. */
function countsOf({ byTrigger }: ReloadCounts): Record<string, number> {
  return Object.fromEntries([...byTrigger].map(([trigger, { counts }]) => [trigger, sum(counts)]));
}

describe("a directory", () => {
  test("counts changes that inotify and stamps report apart", async () => {
    using directory = new TempDirectory();
    using elsewhere = new TempDirectory();
    plant(directory);
    linkSync(directory.at(GUEST), elsewhere.at("the-same"));
    using backend = open({ dir: directory.path });
    expect(countsOf(backend.reloads)).toEqual({ inotify: 0, sweep: 0 });

    directory.put("storage.cfg", "dir: other\n");
    backend.refresh();
    expect(countsOf(backend.reloads)).toEqual({ inotify: 1, sweep: 0 });

    // Changed by a name that is not watched: no event, only the file's stamp differs.
    writeFileSync(elsewhere.at("the-same"), "name: longer than it was\n");
    await eventually("the stamp is compared", () => {
      backend.refresh();
      return textOf(backend.memdb.read(GUEST) ?? 0).includes("longer");
    });
    expect(countsOf(backend.reloads)).toEqual({ inotify: 1, sweep: 1 });
    const { counts = [], sumMs = 0 } = backend.reloads.byTrigger.get("sweep") ?? {};
    expect(counts).toHaveLength(RELOAD_BOUNDS_MS.length + 1);
    expect(sumMs).toBeGreaterThan(0);
  });

  test("without inotify counts all changes by stamps, also removals", async () => {
    using directory = new TempDirectory();
    plant(directory);
    const memdb = new Memdb();
    const options = { directory: directory.path, memdb, log: silentLog, watch: false };
    const source = DirectorySource.open(options);
    if (typeof source === "string") throw new Error(source);
    using opened = source;
    rmSync(directory.at("storage.cfg"));
    await eventually("it is gone", () => {
      opened.refresh();
      return memdb.find("storage.cfg") === undefined;
    });
    expect(countsOf(opened.reloads)).toEqual({ inotify: 0, sweep: 1 });
  });
});

test("a database has one kind of report", () => {
  using directory = new TempDirectory();
  const db = makeDb(directory);
  using backend = open({ db });
  expect(countsOf(backend.reloads)).toEqual({ database: 0 });
  using writer = new Writer(db);
  writer.write("storage.cfg", "dir: other\n");
  backend.refresh();
  expect(countsOf(backend.reloads)).toEqual({ database: 1 });
});
