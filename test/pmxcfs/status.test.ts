/**
 * The status store: what each name does with its value, versions, limits, and that values are
 * copies.
 */
import { describe, expect, test } from "bun:test";
import { Rrd } from "../../src/pmxcfs/state/rrd-values.ts";
import { Status } from "../../src/pmxcfs/state/status.ts";
import { Errno } from "../../src/base/errno.ts";

function setUp(maxKeys?: number) {
  const addresses: string[] = [];
  const archived: string[] = [];
  const rrd = new Rrd({ maxKeys: 3 });
  const status = new Status({
    members: { nodeName: "pve1", setNodeIp: (ip) => addresses.push(ip) },
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
  return { status, rrd, set, get, versions, addresses, archived };
}

describe("keys", () => {
  test("are bytes in, the same bytes out, for this node by name or by none", () => {
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

  test("names that only look special are keys", () => {
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

  test("versions: 0 when created, one more with every set, forgotten with the key", () => {
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

  test("removing a key that is not there is fine and changes nothing", () => {
    const { status, set } = setUp();
    const before = status.generation;
    expect(set("k", "")).toBe(0);
    expect(status.generation).toBe(before);
  });

  test("32 KiB fit, a byte more is EFBIG and leaves the old value, whatever the name", () => {
    const { set, get } = setUp();
    const most = "a".repeat(32_768);
    expect(set("k", most)).toBe(0);
    for (const name of ["k", "nodeip", "rrd/x"]) expect(set(name, `${most}a`)).toBe(Errno.EFBIG);
    expect(get("", "k")).toBe(most);
  });

  test("a key too many is ENOSPC; old ones can still be set, and removing makes room", () => {
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
  test("goes to the dump and to the files, up to the first NUL, and is no key", () => {
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

  test("a key too many is ENOSPC, and is not archived either", () => {
    const { set, archived } = setUp();
    for (const key of ["a", "b", "c"]) expect(set(`rrd/${key}`, "1\0")).toBe(0);
    expect(set("rrd/d", "1\0")).toBe(Errno.ENOSPC);
    expect(set("rrd/a", "2\0")).toBe(0);
    expect(archived).toEqual(["a=1", "b=1", "c=1", "a=2"]);
  });
});
