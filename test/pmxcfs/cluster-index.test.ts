/**
 * Compares digests of the tree with those of recorded C nodes: the index and the checksum of every
 * node, before and after every trace, computed from its rows; and the index at the end of a sync.
 */
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { drained } from "../../src/base/steps.ts";
import { Memdb } from "../../src/pmxcfs/state/memdb.ts";
import { MemoryRows } from "../../src/pmxcfs/store/memory-rows.ts";
import type { SyncEntry } from "../../src/pmxcfs/store/sync-plan.ts";
import { TreeStore } from "../../src/pmxcfs/store/tree-store.ts";
import { Versions } from "../../src/pmxcfs/state/versions.ts";
import { rememberingLog } from "./support.ts";

const TRACES = join(import.meta.dir, "../golden/cluster");

type GoldenBytes = string | null | { readonly hex: string; readonly fill: string; count: number };
type GoldenRow = readonly [number, number, number, number, number, number, string, GoldenBytes];

interface NodeState {
  readonly version: number;
  readonly checksum: string;
  readonly index: GoldenBytes;
  readonly rows: readonly GoldenRow[];
}

interface Trace {
  readonly before: Readonly<Record<string, NodeState>>;
  readonly after: Readonly<Record<string, NodeState | string>>;
}

function bytesOf(golden: GoldenBytes): Uint8Array {
  if (golden === null) return new Uint8Array(0);
  if (typeof golden === "string") return Buffer.from(golden, "hex");
  const fill = Buffer.alloc(golden.count, Number.parseInt(golden.fill, 16));
  return Buffer.concat([Buffer.from(golden.hex, "hex"), fill]);
}

function entryOf([inode, parent, version, writer, mtime, type, name, data]: GoldenRow): SyncEntry {
  const label = inode === 0 ? "" : name;
  const kind = inode === 0 ? 4 : type;
  return { inode, parent, version, writer, mtime, type: kind, name: label, data: bytesOf(data) };
}

/** A store with the rows of a recorded node, made by a sync of an empty tree. */
function storeOf(
  state: NodeState,
  versions?: (memdb: Memdb) => void,
  log = rememberingLog(),
): TreeStore {
  const memdb = new Memdb();
  versions?.(memdb);
  const writer = new MemoryRows();
  const store = new TreeStore({ memdb, entries: new Map(), writer, log });
  expect(drained(store.commitSync([], state.rows.map(entryOf), bytesOf(state.index)))).toBe(true);
  return store;
}

function* states(trace: Trace): Generator<readonly [string, NodeState]> {
  for (const [when, nodes] of [
    ["before", trace.before],
    ["after", trace.after],
  ] as const) {
    for (const [node, state] of Object.entries(nodes)) {
      if (typeof state !== "string") yield [`${when} ${node}`, state];
    }
  }
}

describe("digests of recorded C nodes", () => {
  for (const file of readdirSync(TRACES).filter((name) => name.endsWith(".json"))) {
    const trace = JSON.parse(readFileSync(join(TRACES, file), "utf8")) as Trace;
    test(`${file}: index and checksum of every node are computed from its rows`, () => {
      let count = 0;
      for (const [label, state] of states(trace)) {
        const store = storeOf(state);
        expect([label, store.index.encode().toString("hex")]).toEqual([
          label,
          Buffer.from(bytesOf(state.index)).toString("hex"),
        ]);
        expect([label, store.index.checksum().toString("hex")]).toEqual([label, state.checksum]);
        expect(store.version).toBe(state.version);
        count++;
      }
      expect(count).toBeGreaterThan(0);
    });
  }
});

describe("the end of a sync", () => {
  const trace = JSON.parse(readFileSync(join(TRACES, "files.json"), "utf8")) as Trace;
  const before = trace.before["1"] as NodeState;
  const after = trace.after["1"] as NodeState;
  const had = new Set(before.rows.map(([inode]) => inode));
  const has = new Set(after.rows.map(([inode]) => inode));
  const gone = [...had].filter((inode) => !has.has(inode));

  test("updates in any order give the leader's tree, and increment every counter by 1", () => {
    let versions: Versions | undefined;
    using store = storeOf(before, (memdb) => void (versions = new Versions({ memdb })));
    const counters = versions!.observed.map((path) => versions!.of(path));
    const updates = after.rows.map(entryOf).toReversed();
    expect(drained(store.commitSync(gone, updates, bytesOf(after.index)))).toBe(true);
    expect(store.index.checksum().toString("hex")).toBe(after.checksum);
    expect(versions!.observed.map((path) => versions!.of(path))).toEqual(
      counters.map((counter) => counter + 1),
    );
  });

  test("updates that would not give the leader's tree are refused with EIO, with no effect", () => {
    const log = rememberingLog();
    using store = storeOf(before, undefined, log);
    const updates = after.rows.map(entryOf);
    expect(drained(store.commitSync(gone, updates.slice(0, -1), bytesOf(after.index)))).toBe(-5);
    expect(drained(store.commitSync([], updates.slice(1, 3)))).toBe(true);
    const orphan = { ...updates[1]!, inode: 900, parent: 899 };
    expect(drained(store.commitSync([], [orphan]))).toBe(-5);
    expect(store.entry(900)).toBeUndefined();
    expect(log.lines).toEqual([
      "new index does not match master index - internal error - the leader's tree is refused",
      "missing directory inode (inode = 0000000000000383) - the leader's tree is refused",
    ]);
  });

  test("an entry with the same inode keeps its object, and has the new content", () => {
    using store = storeOf(after);
    const file = [...store.entries()].find(({ kind, size }) => kind === "file" && size > 0)!;
    const old = file.bytes;
    const row = after.rows.map(entryOf).find(({ inode }) => inode === file.inode)!;
    const data = Buffer.from("other");
    expect(drained(store.commitSync([], [{ ...row, data }]))).toBe(true);
    expect(store.entry(file.inode)).toBe(file);
    expect(file.bytes).toEqual(data);
    expect(old).not.toEqual(data);
  });
});
