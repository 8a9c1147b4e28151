/**
 * The status store: the effect of each kind of name, versions, limits, and that values are copied.
 */
import { describe, expect, test } from "bun:test";
import { Rrd } from "../../src/pmxcfs/state/rrd-values.ts";
import { Status } from "../../src/pmxcfs/state/status.ts";
import { Errno } from "../../src/base/errno.ts";

function setUp(maxKeys?: number) {
  const addresses: string[] = [];
  const archived: string[] = [];
  const names = new Map([
    [1, "pve1"],
    [2, "pve2"],
    [3, "pve3"],
  ]);
  const rrd = new Rrd({ maxKeys: 3 });
  const status = new Status({
    members: {
      nodeName: "pve1",
      idOf: (node) => ({ pve2: 2, pve3: 3 })[node],
      nameOf: (id) => names.get(id),
      setNodeIp: (ip, id) => addresses.push(id === undefined ? ip : `${id}: ${ip}`),
    },
    rrd,
    rrdFiles: { update: (key, value) => archived.push(`${key}=${value}`) },
    ...(maxKeys === undefined ? {} : { maxKeys }),
  });
  const set = (name: string, data: string) => status.set(name, Buffer.from(data, "latin1"));
  const get = (node: string, name: string) => {
    const bytes = status.get(node, name);
    return bytes === undefined ? undefined : Buffer.from(bytes).toString("latin1");
  };
  const versions = () =>
    Object.fromEntries([...status.versions()].map(([node, keys]) => [node, [...keys]]));
  const setOf = (id: number, name: string, data: string) =>
    status.setOf(id, name, Buffer.from(data, "latin1"));
  return { status, rrd, set, setOf, get, versions, addresses, archived, names };
}

describe("keys of other nodes", () => {
  test("are read by the node's name, and counted separately from this node's", () => {
    const { set, setOf, get, versions } = setUp();
    set("k", "own");
    expect([setOf(3, "k", "a"), setOf(3, "k", "b"), setOf(2, "gone", "x")]).toEqual([0, 0, 0]);
    expect(setOf(2, "gone", "")).toBe(0);
    expect([get("pve3", "k"), get("pve2", "gone"), get("", "k")]).toEqual(["b", undefined, "own"]);
    expect(versions()).toEqual({ pve1: [["k", 0]], pve3: [["k", 1]], pve2: [] });
  });

  test("are listed, as none, once the first one was removed that there never was, as in C", () => {
    const { status, setOf, versions } = setUp();
    const before = status.generation;
    expect(setOf(2, "k", "")).toBe(0);
    expect(versions()).toEqual({ pve1: [], pve2: [] });
    expect(status.generation).not.toBe(before);
  });

  test("of unknown nodes, and of this node, are refused", () => {
    const { setOf, versions } = setUp();
    expect([setOf(9, "k", "x"), setOf(1, "k", "x")]).toEqual([Errno.ENOENT, Errno.ENOENT]);
    expect(versions()).toEqual({ pve1: [] });
  });

  test("nodeip and rrd/ values are handled as this node's, with the same limits", () => {
    const { setOf, addresses, archived } = setUp();
    expect(setOf(2, "nodeip", "192.0.2.9\0")).toBe(0);
    expect(setOf(2, "nodeip", "192.0.2.9")).toBe(Errno.ENOMEM);
    expect(setOf(2, "rrd/pve-storage-9.0/pve2/local", "1:2:3\0")).toBe(0);
    expect(setOf(2, "big", "x".repeat(32_769))).toBe(Errno.EFBIG);
    expect(addresses).toEqual(["2: 192.0.2.9"]);
    expect(archived).toEqual(["pve-storage-9.0/pve2/local=1:2:3"]);
  });

  test("stay with the node's id when it is renamed, and are dropped with the node", () => {
    const { status, setOf, names, versions } = setUp();
    setOf(2, "k", "x");
    names.set(2, "renamed");
    status.membersChanged();
    expect(versions()).toEqual({ pve1: [], renamed: [["k", 0]] });
    names.delete(2);
    status.membersChanged();
    expect(versions()).toEqual({ pve1: [] });
  });
});

describe("keys", () => {
  test("are returned byte for byte, for this node by its name or an empty one", () => {
    const { set, get } = setUp();
    expect(set("kv", "no NUL")).toBe(0);
    expect(set("", "empty name\0")).toBe(0);
    expect(set("b\xffn", "\x01\x00\xff")).toBe(0);
    expect(get("", "kv")).toBe("no NUL");
    expect(get("pve1", "kv")).toBe("no NUL");
    expect(get("", "")).toBe("empty name\0");
    expect(get("", "b\xffn")).toBe("\x01\x00\xff");
    expect(get("PVE1", "kv")).toBeUndefined();
    expect(get("pve2", "kv")).toBeUndefined();
    expect(get("", "missing")).toBeUndefined();
  });

  test("names that only resemble special ones are ordinary keys", () => {
    const { set, get, addresses, rrd } = setUp();
    for (const name of ["nodeip2", "nodei", "NODEIP", "rrd", "rrd2/x", "RRD/x", "__proto__"]) {
      expect(set(name, name)).toBe(0);
      expect(get("", name)).toBe(name);
    }
    expect(addresses).toEqual([]);
    expect(rrd.count).toBe(0);
  });

  test("values are copies: neither the caller's buffer nor a later set changes them", () => {
    const { status } = setUp();
    const buffer = Buffer.from("first");
    status.set("k", buffer);
    const got = status.get("", "k");
    buffer.fill(0);
    status.set("k", Buffer.from("other"));
    expect(Buffer.from(got ?? []).toString()).toBe("first");
  });

  test("have version 0 when created, and one more with every set, until removed", () => {
    const { status, set, versions } = setUp();
    expect(versions()).toEqual({ pve1: [] });
    const seen = new Set([status.generation]);
    const expectVersion = (expected: number) => {
      expect(versions()).toEqual({ pve1: [["k", expected]] });
      expect(seen.has(status.generation)).toBe(false);
      seen.add(status.generation);
    };
    set("k", "a");
    expectVersion(0);
    set("k", "b");
    expectVersion(1);
    set("k", "b");
    expectVersion(2);
    set("k", "");
    expect(versions()).toEqual({ pve1: [] });
    set("k", "a");
    expectVersion(0);
  });

  test("removing a missing key succeeds and changes nothing", () => {
    const { status, set } = setUp();
    const before = status.generation;
    expect(set("k", "")).toBe(0);
    expect(status.generation).toBe(before);
  });

  test("32 KiB fit; one byte more is EFBIG and keeps the old value, for any name", () => {
    const { set, get } = setUp();
    const most = "a".repeat(32_768);
    expect(set("k", most)).toBe(0);
    for (const name of ["k", "nodeip", "rrd/x"]) expect(set(name, `${most}a`)).toBe(Errno.EFBIG);
    expect(get("", "k")).toBe(most);
  });

  test("one key too many is ENOSPC; old ones can still be set, and a removal makes room", () => {
    const { status, set } = setUp(2);
    expect([set("a", "1"), set("b", "1")]).toEqual([0, 0]);
    expect(set("c", "1")).toBe(Errno.ENOSPC);
    expect(set("c", "")).toBe(0);
    expect(set("a", "2")).toBe(0);
    expect(set("b", "")).toBe(0);
    expect(set("c", "1")).toBe(0);
    expect(status.count).toBe(2);
  });
});

describe("nodeip", () => {
  test.each([
    ["an address", "192.0.2.2\0", "192.0.2.2"],
    ["a NUL alone", "\0", ""],
    ["up to the first NUL", "192.0.2.7\0junk\0", "192.0.2.7"],
    ["254 bytes and NUL", `${"1".repeat(254)}\0`, "1".repeat(254)],
  ])("%s is the node's", (_, data, ip) => {
    const { status, set, get, addresses } = setUp();
    const before = status.generation;
    expect(set("nodeip", data)).toBe(0);
    expect(addresses).toEqual([ip]);
    expect(get("", "nodeip")).toBeUndefined();
    expect(status.generation).toBe(before);
  });

  test.each([
    ["nothing", ""],
    ["no NUL", "192.0.2.2"],
    ["a NUL too early", "192\0 "],
    ["256 bytes", `${"1".repeat(255)}\0`],
  ])("%s is ENOMEM", (_, data) => {
    const { set, addresses } = setUp();
    expect(set("nodeip", data)).toBe(Errno.ENOMEM);
    expect(addresses).toEqual([]);
  });
});

describe("rrd/", () => {
  test("goes to the dump and to the files, up to the first NUL, and is not a key", () => {
    const { status, set, get, rrd, archived } = setUp();
    const before = status.generation;
    expect(set("rrd/a/b", "1:2\0:3\0")).toBe(0);
    expect(set("rrd/", "9\0")).toBe(0);
    expect(rrd.dump().toString()).toBe("a/b:1:2\n:9\n\0");
    expect(archived).toEqual(["a/b=1:2", "=9"]);
    expect(get("", "rrd/a/b")).toBeUndefined();
    expect(status.generation).toBe(before);
  });

  test("4095 bytes with the NUL fit", () => {
    const { set, rrd } = setUp();
    expect(set("rrd/x", `${"a".repeat(4094)}\0`)).toBe(0);
    expect(rrd.dump()).toHaveLength(4094 + "x:\n\0".length);
  });

  test.each([
    ["nothing", ""],
    ["no NUL", "1:2:3"],
    ["4096 bytes", `${"a".repeat(4095)}\0`],
  ])("%s is ENOMEM", (_, data) => {
    const { set, rrd, archived } = setUp();
    expect(set("rrd/x", data)).toBe(Errno.ENOMEM);
    expect(rrd.count).toBe(0);
    expect(archived).toEqual([]);
  });

  test("one key too many is ENOSPC, and is not archived either", () => {
    const { set, archived } = setUp();
    for (const key of ["a", "b", "c"]) expect(set(`rrd/${key}`, "1\0")).toBe(0);
    expect(set("rrd/d", "1\0")).toBe(Errno.ENOSPC);
    expect(set("rrd/a", "2\0")).toBe(0);
    expect(archived).toEqual(["a=1", "b=1", "c=1", "a=2"]);
  });
});
