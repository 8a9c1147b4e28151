/** The parsers of /proc, on the kernel's formats. */
import {
  hostsLines,
  isLoopback,
  mapId,
  parseMounts,
  parseStat,
  pressure60,
  softLimit,
} from "../../src/tools/check/proc.ts";
import { lockHoldersIn } from "../../src/platform/proc-locks.ts";
import { expect, test } from "bun:test";

test("a command's name may contain parentheses and spaces", () => {
  const tail = "S 1 1 1 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4242 8192 1 18446744073709551615";
  expect(parseStat(`77 (a) b (c) ${tail}`)).toEqual({
    command: "a) b (c",
    state: "S",
    startTicks: 4242,
    kernel: false,
  });
});

test("an id map gives the id outside, and nothing for an id that it lacks", () => {
  expect(mapId("         0     100000      65536\n", 33)).toBe(100_033);
  expect(mapId("0 0 4294967295\n", 1000)).toBe(1000);
  expect(mapId("0 1000 1\n", 5)).toBeUndefined();
});

test("mounts are parsed with their escapes, read-only by either set of options", () => {
  const text =
    "63 43 0:39 / /etc/pve rw,relatime shared:1 - fuse /dev/fuse rw,user_id=0\n" +
    "64 43 0:40 / /mnt/a\\040b ro,relatime - tmpfs tmpfs rw\n" +
    "65 43 0:41 / /x rw - ext4 /dev/sda ro\n";
  expect(parseMounts(text)).toEqual([
    {
      point: "/etc/pve",
      device: "0:39",
      type: "fuse",
      source: "/dev/fuse",
      readOnly: false,
      readOnlyHere: false,
    },
    {
      point: "/mnt/a b",
      device: "0:40",
      type: "tmpfs",
      source: "tmpfs",
      readOnly: true,
      readOnlyHere: true,
    },
    {
      point: "/x",
      device: "0:41",
      type: "ext4",
      source: "/dev/sda",
      readOnly: true,
      readOnlyHere: false,
    },
  ]);
});

test("a lock has its holder, not the processes that wait for it", () => {
  const text =
    "1: FLOCK  ADVISORY  WRITE 321 fe:00:4711 0 EOF\n" +
    "1: -> FLOCK  ADVISORY  WRITE 322 fe:00:4711 0 EOF\n" +
    "2: POSIX  ADVISORY  READ 323 fe:00:14711 0 EOF\n";
  expect(lockHoldersIn(text, 4711)).toEqual([321]);
});

test("limits and pressure are read from their rows", () => {
  const limits =
    "Limit                     Soft Limit           Hard Limit           Units\n" +
    "Max open files            1024                 1048576              files\n" +
    "Max locked memory         unlimited            unlimited            bytes\n";
  expect(softLimit(limits, "Max open files")).toBe(1024);
  expect(softLimit(limits, "Max locked memory")).toBeUndefined();
  const pressure =
    "some avg10=1.00 avg60=2.50 avg300=0.1 total=5\nfull avg10=0.00 avg60=0.75 avg300=0 total=1\n";
  expect(pressure60(pressure, "full")).toBe(0.75);
});

test("the lines of /etc/hosts with a name are found, and loopback addresses are recognised", () => {
  const hosts = "127.0.0.1 localhost\n# 192.0.2.9 pve1\n127.0.1.1\tpve1.lan pve1 # installer\n";
  expect(hostsLines(hosts, "pve1")).toEqual([
    { address: "127.0.1.1", names: ["pve1.lan", "pve1"], line: 3 },
  ]);
  expect(["127.0.1.1", "::1", "::ffff:127.0.0.1"].every(isLoopback)).toBe(true);
  expect(["192.0.2.1", "::2", "fd00::1"].some(isLoopback)).toBe(false);
});
