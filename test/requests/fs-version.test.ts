/**
 * The text of GET_FS_VERSION: its bytes, when it is rebuilt, and that it is valid JSON for any
 * names of status keys.
 */
import { describe, expect, test } from "bun:test";
import { Members } from "../../src/pmxcfs/state/members.ts";
import { Memdb } from "../../src/pmxcfs/state/memdb.ts";
import { Rrd } from "../../src/pmxcfs/state/rrd-values.ts";
import { Status } from "../../src/pmxcfs/state/status.ts";
import { Versions } from "../../src/pmxcfs/state/versions.ts";
import { FsVersionText } from "../../src/pmxcfs/requests/fs-version.ts";

function setUp() {
  const versions = new Versions({ memdb: new Memdb(), startTime: 1_700_000_000 });
  const members = new Members({ nodeName: "pve1", versions });
  const status = new Status({ members, rrd: new Rrd() });
  const fsVersion = new FsVersionText({ versions, status });
  const set = (name: string, value: string) => status.set(name, Buffer.from(value));
  const text = () => Buffer.from(fsVersion.text()).toString("utf8");
  return { versions, status, fsVersion, set, text };
}

describe("text", () => {
  test("is byte for byte that of C: counters in order, then the keys", () => {
    const { set, text, versions } = setUp();
    const counters = versions.observed.map((path) => `"${path}": 1,\n`).join("");
    const head = `{\n"starttime": 1700000000,\n"clinfo": 0,\n"vmlist": 0,\n${counters}`;
    expect(versions.observed).toHaveLength(43);
    expect(text()).toBe(`${head}"kvstore": {\n"pve1": {\n}\n}\n}\n`);
    set("a", "1");
    set("b", "1");
    set("b", "1");
    expect(text()).toBe(`${head}"kvstore": {\n"pve1": {\n"a": 0,\n"b": 1}\n}\n}\n`);
  });

  test("other nodes follow this one", () => {
    const { versions } = setUp();
    const kvs = new Map<string, [string, number][]>([
      ["pve1", []],
      ["n2", [["k", 3]]],
      ["n3", []],
    ]);
    const fsVersion = new FsVersionText({
      versions,
      status: { generation: 0, versions: () => kvs },
    });
    const text = Buffer.from(fsVersion.text()).toString();
    expect(text).toEndWith(
      '"kvstore": {\n"pve1": {\n}\n,\n"n2": {\n"k": 3}\n,\n"n3": {\n}\n}\n}\n',
    );
    expect(JSON.parse(text)).toMatchObject({ kvstore: { pve1: {}, n2: { k: 3 }, n3: {} } });
  });

  test("names that C would print as invalid JSON are escaped", () => {
    const { set, text } = setUp();
    const names = ['kv/qu"ote\\', "tab\there", "\x01", "j\xf6rg", "\\u12", 'x"', ""];
    for (const name of names) set(name, "1");
    const { kvstore } = JSON.parse(text()) as { kvstore: { pve1: Record<string, number> } };
    const shown = ['kv/qu"ote\\', "tab\there", "\x01", "j\ufffdrg", "\\u12", 'x"', ""];
    expect(Object.keys(kvstore.pve1).toSorted()).toEqual(shown.toSorted());
  });

  test("names that are valid JSON are not changed", () => {
    const { set, text } = setUp();
    set(Buffer.from("jörg", "utf8").toString("latin1"), "1");
    set("a\\u0041", "1");
    expect(text()).toContain('"jörg": 0,\n"a\\u0041": 0}');
  });
});

describe("bytes", () => {
  test("are the same object until a counter or a key changes, and are never modified", () => {
    const { fsVersion, versions, set } = setUp();
    const seen = [fsVersion.text()];
    const first = Buffer.from(fsVersion.text());
    const expectNew = () => {
      expect(fsVersion.text()).toBe(fsVersion.text());
      expect(seen).not.toContain(fsVersion.text());
      seen.push(fsVersion.text());
    };
    expect(fsVersion.text()).toBe(seen[0] ?? first);
    versions.bumpClinfo();
    expectNew();
    versions.bumpVmlist();
    expectNew();
    set("k", "1");
    expectNew();
    set("k", "1");
    expectNew();
    set("k", "");
    expectNew();
    set("rrd/x", "1\0");
    set("missing", "");
    expect(fsVersion.text()).toBe(seen.at(-1) ?? first);
    expect(Buffer.from(seen[0] ?? []).equals(first)).toBe(true);
  });
});
