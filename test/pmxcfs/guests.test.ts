/** The guest list, its versions, and the recorded answers of ids 3, 11 and 13. */
import { describe, expect, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { Guests, guestPath } from "../../src/pmxcfs/state/guests.ts";
import { Memdb } from "../../src/pmxcfs/state/memdb.ts";
import { Versions } from "../../src/pmxcfs/state/versions.ts";
import { fill, golden, open, plantGolden, TempDirectory, textOf } from "./support.ts";

function guestsOf(files: Readonly<Record<string, string>>) {
  const memdb = new Memdb();
  fill(memdb, files);
  const versions = new Versions({ memdb });
  const duplicates: number[] = [];
  const onDuplicate = (vmid: number): void => void duplicates.push(vmid);
  return { memdb, versions, duplicates, guests: new Guests({ memdb, versions, onDuplicate }) };
}

describe("which paths are guests", () => {
  test.each([
    ["nodes/pve1/qemu-server/100.conf", { vmid: 100, node: "pve1", type: "qemu" }],
    ["nodes/a-b/lxc/99.conf", { vmid: 99, node: "a-b", type: "lxc" }],
    ["nodes/7/openvz/1.conf", { vmid: 1, node: "7", type: "openvz" }],
    ["nodes/PVE/lxc/4294967295.conf", { vmid: 4294967295, node: "PVE", type: "lxc" }],
  ])("%s", (path, place) => expect(guestPath(path)).toEqual(place));

  test.each([
    "nodes/pve1/qemu-server/4294967296.conf",
    "nodes/pve1/qemu-server/0111.conf",
    "nodes/pve1/qemu-server/0.conf",
    "nodes/pve1/qemu-server/100.conf.tmp",
    "nodes/pve1/qemu-server/100",
    "nodes/pve1/qemu-server/+1.conf",
    "nodes/pve1/qemu-server/sub/100.conf",
    "nodes/pve1/qemu/100.conf",
    "nodes/bad_node/qemu-server/100.conf",
    "nodes/-a/qemu-server/100.conf",
    "nodes/a-/qemu-server/100.conf",
    "nodes/a.b/qemu-server/100.conf",
    "nodes//qemu-server/100.conf",
    "qemu-server/100.conf",
    "x/nodes/pve1/qemu-server/100.conf",
    "nodes/pve1/qemu-server/100.conf\n",
  ])("not %j", (path) => expect(guestPath(path)).toBeUndefined());
});

test("the list has version 0 without a nodes directory, 1 with an empty one", () => {
  expect(textOf(guestsOf({ "a.cfg": "" }).guests.list())).toBe('{\n"version": 0\n\n}\n');
  expect(textOf(guestsOf({ "nodes/x": "" }).guests.list())).toBe('{\n"version": 1\n\n}\n');
});

test("the list is byte for byte that of C", () => {
  const { guests } = guestsOf({ "nodes/a/lxc/200.conf": "x", "nodes/b/qemu-server/7.conf": "" });
  expect(textOf(guests.list())).toBe(
    '{\n"version": 1,\n"ids": {\n' +
      '"200": { "node": "a", "type": "lxc", "version": 1 },\n' +
      '"7": { "node": "b", "type": "qemu", "version": 2 }}\n\n}\n',
  );
});

test("a change of one guest increments the list's version, and gives the guest a new one", () => {
  const { memdb, guests } = guestsOf({ "nodes/a/lxc/200.conf": "x", "nodes/a/lxc/201.conf": "x" });
  const stamp = { version: 9, writer: 0, mtime: 9 };
  const before = guests.list();
  memdb.write(memdb.find("nodes/a/lxc/200.conf")!, Buffer.from("y"), stamp);
  expect(guests.list()).not.toBe(before);
  expect(JSON.parse(textOf(guests.list()))).toEqual({
    version: 2,
    ids: {
      200: { node: "a", type: "lxc", version: 3 },
      201: { node: "a", type: "lxc", version: 2 },
    },
  });
  memdb.touch(memdb.find("nodes/a/lxc/200.conf")!, stamp);
  expect(JSON.parse(textOf(guests.list())).version).toBe(2);
});

test("of two configurations with one number the first is listed, once removed the other", () => {
  const { memdb, versions, guests, duplicates } = guestsOf({
    "nodes/a/lxc/200.conf": "hostname: first",
    "nodes/b/lxc/200.conf": "hostname: second",
  });
  expect(duplicates).toEqual([200]);
  expect(textOf(guests.properties(200, ["hostname"]))).toContain("first");
  memdb.remove(memdb.find("nodes/a/lxc/200.conf")!);
  expect(versions.vmlist).toBe(2);
  expect(textOf(guests.properties(200, ["hostname"]))).toContain("second");
  memdb.remove(memdb.find("nodes/b/lxc/200.conf")!);
  expect(textOf(guests.list())).toBe('{\n"version": 3\n\n}\n');
});

test("the parts of an answer for all guests are correct after a guest has changed", () => {
  const { memdb, guests } = guestsOf({ "nodes/a/lxc/200.conf": "a: 1\nb: 2\n" });
  expect(textOf(guests.properties(0, ["a", "b"]))).toBe('{\n"200":{"a": "1","b": "2"}\n}\n');
  expect(textOf(guests.properties(0, ["b", "a"]))).toBe('{\n"200":{"b": "2","a": "1"}\n}\n');
  memdb.write(memdb.find("nodes/a/lxc/200.conf")!, Buffer.from("a: 3\n"), {
    version: 9,
    writer: 0,
    mtime: 9,
  });
  expect(textOf(guests.properties(0, ["a", "b"]))).toBe('{\n"200":{"a": "3"}\n}\n');
});

test("an unknown guest is ENOENT; an empty configuration is EIO, and omitted among all", () => {
  const { guests } = guestsOf({ "nodes/a/lxc/200.conf": "", "nodes/a/lxc/201.conf": "a: 1" });
  expect(guests.properties(100, ["a"])).toBe(Errno.ENOENT);
  expect(guests.properties(200, ["a"])).toBe(Errno.EIO);
  expect(textOf(guests.properties(0, ["a"]))).toBe('{\n"201":{"a": "1"}\n}\n');
});

test("values that are invalid JSON in C's answer are valid here", () => {
  const { guests } = guestsOf({
    "nodes/a/lxc/200.conf": 'a: \x01\x7f"\\\xe9\t.\nu: \xc3\xbc "q"\n',
  });
  const answer = Buffer.from(guests.properties(200, ["a", "u"]) as Uint8Array).toString("utf8");
  expect(JSON.parse(answer)).toEqual({ 200: { a: '\x01\x7f"\\\uFFFD\t.', u: 'ü "q"' } });
  expect(answer).toContain('"u": "ü \\"q\\""');
});

interface Vector {
  readonly name: string;
  readonly id: number;
  readonly body_hex: string;
  readonly header_size_field?: number;
  readonly expect: { readonly check: string };
  readonly c: { readonly error: number; readonly hex: string };
}

/** The C server's recorded answers, without those whose body the request itself refuses. */
const RECORDED = (golden("vectors.json") as Vector[]).filter(
  ({ id, c, header_size_field }) =>
    [3, 11, 13].includes(id) && header_size_field === undefined && c.error !== Errno.EINVAL,
);

function ask(guests: Guests, { id, body_hex }: Vector): Uint8Array | number {
  const body = Buffer.from(body_hex, "hex");
  if (id === 3) return guests.list();
  const names = body
    .toString("latin1", id === 11 ? 4 : 5, body.length - 1)
    .split("\0")
    .slice(0, id === 11 ? 1 : undefined);
  return guests.properties(body.readUInt32LE(0), names);
}

function withoutVersions(text: string): unknown {
  return JSON.parse(text, (key, value: unknown) => (key === "version" ? 0 : value));
}

test("every recorded answer of ids 3, 11 and 13 is the same", () => {
  using directory = new TempDirectory();
  plantGolden(directory.path);
  using backend = open({ dir: directory.path });
  expect(RECORDED.length).toBeGreaterThan(60);
  for (const vector of RECORDED) {
    const got = ask(backend.guests, vector);
    const { check } = vector.expect;
    if (check === "errno") expect([vector.name, got]).toEqual([vector.name, vector.c.error]);
    else if (typeof got === "number") throw new Error(`${vector.name}: ${got}`);
    else if (check === "bytes") expect(Buffer.from(got).toString("hex")).toBe(vector.c.hex);
    else if (check === "validjson") JSON.parse(Buffer.from(got).toString("utf8"));
    else {
      const theirs = Buffer.from(vector.c.hex, "hex").toString("utf8");
      expect(withoutVersions(Buffer.from(got).toString("utf8"))).toEqual(withoutVersions(theirs));
    }
  }
  const { ids } = JSON.parse(textOf(backend.guests.list())) as {
    ids: Record<string, { version: number }>;
  };
  const numbers = Object.values(ids).map(({ version }) => version);
  expect(numbers.toSorted((a, b) => a - b)).toEqual(numbers.map((_, index) => index + 1));
});
