/**
 * The RRD dump: its text, the expiry of entries after five minutes, its limit; and the file and
 * columns for a reported key.
 */
import { describe, expect, test } from "bun:test";
import { createArguments, dayStartSeconds, rrdUpdate } from "../../src/pmxcfs/rrd/formats.ts";
import { Rrd } from "../../src/pmxcfs/state/rrd-values.ts";
import { Errno } from "../../src/base/errno.ts";

const MINUTE_MS = 60_000;

function setUp(maxKeys = 100) {
  const clock = { ms: 0 };
  const rrd = new Rrd({ now: () => clock.ms, maxKeys });
  return { rrd, clock, dump: () => rrd.dump().toString("latin1") };
}

function found(key: string, value: string): string {
  const update = rrdUpdate(key, value);
  return typeof update === "object" ? `${update.file} ${update.values}` : update;
}

/** `count` unknown columns. */
function us(count: number): string {
  return ":U".repeat(count);
}

describe("dump", () => {
  test("is one NUL when there are no entries", () => {
    expect(setUp().dump()).toBe("\0");
  });

  test("has a line per key with the latest value, then a NUL", () => {
    const { rrd, dump } = setUp();
    rrd.set("a", "1");
    rrd.set("", "2");
    rrd.set("\xff", "3\nx:4");
    expect(dump()).toBe("a:1\n:2\n\xff:3\nx:4\n\0");
    rrd.set("a", "5");
    expect(dump().split("\n").toSorted()).toEqual(["\0", ":2", "a:5", "x:4", "\xff:3"].toSorted());
  });

  test("is cached while nothing changes, and returned bytes never change", () => {
    const { rrd } = setUp();
    rrd.set("a", "1");
    const first = rrd.dump();
    expect(rrd.dump()).toBe(first);
    rrd.set("a", "2");
    expect(first.toString()).toBe("a:1\n\0");
    expect(rrd.dump().toString()).toBe("a:2\n\0");
  });

  test("drops an entry five minutes after it was last set, not before", () => {
    const { rrd, clock, dump } = setUp();
    rrd.set("a", "1");
    clock.ms = 2 * MINUTE_MS;
    rrd.set("b", "1");
    clock.ms = 5 * MINUTE_MS;
    expect(dump()).toBe("a:1\nb:1\n\0");
    clock.ms++;
    expect(dump()).toBe("b:1\n\0");
    rrd.set("b", "2");
    clock.ms += 5 * MINUTE_MS;
    expect(dump()).toBe("b:2\n\0");
    clock.ms++;
    expect(dump()).toBe("\0");
    expect(rrd.count).toBe(0);
  });

  test("has a limited number of keys; expired ones make room", () => {
    const { rrd, clock } = setUp(2);
    expect([rrd.set("a", "1"), rrd.set("b", "1")]).toEqual([0, 0]);
    expect(rrd.set("c", "1")).toBe(Errno.ENOSPC);
    expect(rrd.set("b", "2")).toBe(0);
    clock.ms = 5 * MINUTE_MS + 1;
    expect(rrd.set("c", "1")).toBe(0);
    expect(rrd.count).toBe(1);
  });
});

describe("files", () => {
  test.each([
    ["pve2-node/n1", "5::7:1:2", `pve-node-9.0/n1 7:1:2${us(17)}`],
    ["pve-node-9.0/n1", "5::7:1", `pve-node-9.0/n1 7:1${us(18)}`],
    ["pve-node-10/n1", "5::7:1", `pve-node-9.0/n1 7:1${us(18)}`],
    ["pve2.3-vm/100", "5:n:s:0:7:1", `pve-vm-9.0/100 7:1${us(16)}`],
    ["pve-vm-9.1/100", "5:n:s:0:7:1", `pve-vm-9.0/100 7:1${us(16)}`],
    ["pve2-storage/n1/s", "7:1:2", "pve-storage-9.0/n1/s 7:1:2"],
    ["pve-storage-9.0/n1/s", "7:1:2:3:4", "pve-storage-9.0/n1/s 7:1:2"],
    ["pve2-storage/n1/a.b-c_d", "7:1:2", "pve-storage-9.0/n1/a.b-c_d 7:1:2"],
    // Any versions and names, as in C.
    ["pve-node-/n1", "5::7:1", `pve-node-9.0/n1 7:1${us(18)}`],
    ["pve-node-x y/n1", "5::7:1", `pve-node-9.0/n1 7:1${us(18)}`],
    ["pve2-node/.hidden", "5::7:1", `pve-node-9.0/.hidden 7:1${us(18)}`],
    ["pve2-node/..n", "5::7:1", `pve-node-9.0/..n 7:1${us(18)}`],
    ["pve2-node/-x y", "5::7:1", `pve-node-9.0/-x y 7:1${us(18)}`],
    ["pve2-node/'a\"\\\x01\xe4", "5::7:1", `pve-node-9.0/'a"\\\x01\xe4 7:1${us(18)}`],
    ["pve2-storage//s", "7:1:2", "pve-storage-9.0/s 7:1:2"],
    ["pve2-storage/./s", "7:1:2", "pve-storage-9.0/s 7:1:2"],
  ])("%s %s", (key, value, expected) => {
    expect(found(key, value)).toBe(expected);
  });

  test("a value that is not a number becomes U; counters take integers only", () => {
    expect(found("pve2-storage/n/s", "7:-1.5e-3:.5")).toBe("pve-storage-9.0/n/s 7:-1.5e-3:.5");
    expect(found("pve2-storage/n/s", "7:nan:")).toBe("pve-storage-9.0/n/s 7:U:U");
    expect(found("pve2-storage/n/s", "7:U:1 2")).toBe("pve-storage-9.0/n/s 7:U:U");
    expect(found("pve2.3-vm/1", "::::7:1:2:3:4:5:6:7:8.5:1e3")).toBe(
      `pve-vm-9.0/1 7:1:2:3:4:5:6:7${us(10)}`,
    );
  });

  test.each([
    "",
    "whatever/x",
    "pve2-node",
    "pve2-node/",
    "pve2-node/a/b",
    "pve2-node/..",
    "pve2-node/.",
    "pve2-node/a\nFLUSHALL",
    "pve2-vm/100",
    "pve2-storage/n1",
    "pve2-storage/n1/",
    "pve2-storage/n1/../s",
    "pve2-storage/../s",
    "pve2-storage/n1/..",
    "pve2-storage/n1/.",
    "pve2-storage/n1/s/t",
    "pve2-node/a\rb",
    "pve2-node/a\0b",
    "xpve2-node/n1",
  ])("%j is no key of a file", (key) => {
    expect(found(key, "1:2:3:4:5:6:7")).toBe("unknown");
  });

  test.each(["", "1:2", "1:2:", "1:2:x:1", "1:2:-5:1", "1:2: 7:1", "1:2:7\n:1"])(
    "%j has no time",
    (value) => {
      expect(found("pve2-node/n1", value)).toBe("malformed");
    },
  );

  test("a file is created with all columns and archives", () => {
    const update = rrdUpdate("pve2-storage/n/s", "1:2:3");
    if (typeof update !== "object") throw new Error(update);
    expect(createArguments(update.layout, 86_400)).toBe(
      "-s 60 -b 86400 DS:total:GAUGE:120:0:U DS:used:GAUGE:120:0:U " +
        "RRA:AVERAGE:0.5:1:1440 RRA:AVERAGE:0.5:30:1440 " +
        "RRA:AVERAGE:0.5:360:1440 RRA:AVERAGE:0.5:10080:570 " +
        "RRA:MAX:0.5:1:1440 RRA:MAX:0.5:30:1440 RRA:MAX:0.5:360:1440 RRA:MAX:0.5:10080:570",
    );
  });

  test("the start of a file is the midnight of its day", () => {
    const noon = new Date(2026, 10, 24, 12, 34, 56).getTime();
    expect(dayStartSeconds(noon)).toBe(new Date(2026, 10, 24).getTime() / 1000);
  });
});
