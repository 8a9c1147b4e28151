/**
 * Random changes by others, against a fresh load: after a refresh the tree in memory and the list
 * of guests are those of a new source of the same directory or database. A failure prints its seed
 * and the shortest sequence that fails.
 */
import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { Guests } from "../../src/pmxcfs/state/guests.ts";
import { Memdb, pathOf } from "../../src/pmxcfs/state/memdb.ts";
import type { Backend } from "../../src/pmxcfs/store/open.ts";
import { Versions } from "../../src/pmxcfs/state/versions.ts";
import { open, TempDirectory, textOf, Writer } from "./support.ts";

/** Few names, so that changes affect each other. */
const NAMES = [
  "a",
  "a/b",
  "a/b/c",
  "a/d",
  "e",
  "storage.cfg",
  "nodes",
  "nodes/x",
  "nodes/x/lxc",
  "nodes/x/lxc/100.conf",
  "nodes/y/lxc/100.conf",
  "nodes/y/lxc/200.conf",
];
const name = fc.constantFrom(...NAMES);

function shapeOf(memdb: Memdb): unknown[] {
  return [...memdb.entries()]
    .map((entry) => [pathOf(entry), entry.kind, textOf(entry.bytes)])
    .toSorted((a, b) => ((a[0] ?? "") < (b[0] ?? "") ? -1 : 1));
}

/** The guests' places, from a list that follows changes or from a new one. */
function placesOf(guests: Guests): unknown {
  const { ids = {} } = JSON.parse(textOf(guests.list())) as {
    ids?: Record<string, { node: string; type: string }>;
  };
  return Object.keys(ids);
}

function expectSame(backend: Backend, fresh: Backend): void {
  expect(shapeOf(backend.memdb)).toEqual(shapeOf(fresh.memdb));
  expect(backend.memdb.entryCount).toBe(fresh.memdb.entryCount);
  expect(backend.memdb.fileBytes).toBe(fresh.memdb.fileBytes);
  const versions = new Versions({ memdb: backend.memdb });
  const listed = new Guests({ memdb: backend.memdb, versions });
  expect(placesOf(backend.guests)).toEqual(expect.arrayContaining(placesOf(listed) as string[]));
  expect(backend.guests.count).toBe(listed.count);
  for (const vmid of [100, 200]) {
    // Of two configurations with one number either may be listed, but it must exist.
    const answer = backend.guests.properties(vmid, ["v"]);
    const alone = fresh.memdb.find(`nodes/y/lxc/${vmid}.conf`) === undefined || vmid === 200;
    if (alone) expect(answer).toEqual(fresh.guests.properties(vmid, ["v"]));
  }
}

/** Applies all changes, however many slices that takes. */
function settle(backend: Backend): void {
  do backend.refresh();
  while (backend.reloads.isReading);
}

type Step =
  | { readonly do: "write"; readonly name: string; readonly content: string }
  | { readonly do: "mkdir"; readonly name: string }
  | { readonly do: "remove"; readonly name: string }
  | { readonly do: "symlink"; readonly name: string }
  | { readonly do: "rename"; readonly name: string; readonly to: string }
  | { readonly do: "look" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("write" as const),
      name,
      content: fc.constantFrom("", "v: 1", "v: 2", "v: 3\n"),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("mkdir" as const), name }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("remove" as const), name }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("symlink" as const), name }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("rename" as const), name, to: name }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("look" as const) }) },
);

/** Long sequences: faults need a name that is created, removed and created again. */
const sequence = fc.array(step, { minLength: 5, maxLength: 60, size: "max" });

/**
 * Applies a change to real files, unless the kernel refuses it. Links lead to `outside`, a
 * directory of the test: later steps change files through them.
 */
function perform(
  directory: TempDirectory,
  outside: TempDirectory,
  one: Exclude<Step, { do: "look" }>,
): void {
  const path = directory.at(one.name);
  try {
    if (one.do === "remove") rmSync(path, { recursive: true });
    else if (one.do === "rename") renameSync(path, directory.at(one.to));
    else {
      mkdirSync(dirname(path), { recursive: true });
      if (one.do === "mkdir") mkdirSync(path);
      else if (one.do === "symlink") symlinkSync(outside.path, path);
      else writeFileSync(path, one.content);
    }
  } catch {
    // EEXIST, ENOTDIR, ...: the step changes nothing.
  }
}

test("a directory that is followed gives the tree of a fresh load", () => {
  fc.assert(
    fc.property(sequence, (steps) => {
      using outside = new TempDirectory();
      using directory = new TempDirectory();
      using backend = open({ dir: directory.path });
      for (const one of [...steps, { do: "look" } as const]) {
        if (one.do !== "look") {
          perform(directory, outside, one);
          continue;
        }
        settle(backend);
        using fresh = open({ dir: directory.path });
        expectSame(backend, fresh);
      }
    }),
    { numRuns: 150 },
  );
});

/** Applies a change to rows, as pmxcfs would, unless its place does not exist. */
function commit(writer: Writer, one: Exclude<Step, { do: "look" }>): void {
  try {
    if (one.do === "rename") writer.rename(one.name, one.to);
    else if (one.do === "remove") writer.remove(one.name);
    else if (one.do === "mkdir") writer.create(one.name, 4);
    else if (one.do === "symlink") writer.utime(one.name, 12_345);
    else {
      if (!writer.has(one.name)) writer.create(one.name);
      writer.write(one.name, one.content);
    }
  } catch (error) {
    if (!String(error).includes("no ")) throw error;
  }
}

test("a database that is followed gives the tree of a fresh load, if that succeeds", () => {
  fc.assert(
    fc.property(sequence, (steps) => {
      using directory = new TempDirectory();
      using backend = open({ state: directory.path, nodeName: "x" });
      using writer = new Writer(directory.at("config.db"));
      for (const one of [...steps, { do: "look" } as const]) {
        if (one.do !== "look") {
          commit(writer, one);
          continue;
        }
        settle(backend);
        const before = shapeOf(backend.memdb);
        const fresh = freshOf(directory);
        if (fresh !== undefined) expectSame(backend, fresh);
        // No valid tree: the last state is still served.
        else expect(shapeOf(backend.memdb)).toEqual(before);
        fresh?.[Symbol.dispose]();
      }
    }),
    { numRuns: 200 },
  );
});

/** Undefined when the rows are no valid tree, or two guests have one number. */
function freshOf(directory: TempDirectory): Backend | undefined {
  try {
    return open({ state: directory.path, nodeName: "x" });
  } catch {
    return undefined;
  }
}
