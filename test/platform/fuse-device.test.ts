/** The device: mounting and unmounting at a directory without a server, and its end. */
import { expect, test } from "bun:test";
import { closeSync, mkdirSync, openSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { Errno } from "../../src/base/errno.ts";
import { detachMount, FuseDevice } from "../../src/platform/fuse-device.ts";
import { mountsAt } from "../../src/platform/mounts.ts";
import { shim } from "../../src/platform/shim.ts";
import { TempDirectory } from "../pmxcfs/support.ts";
import { REPOSITORY } from "../support/native.ts";
import { testUnless } from "../support/unless.ts";

const REQUEST_BYTES = 4096 + 128 * 1024;
const OPTIONS = "rootmode=40000,user_id=0,group_id=0";

testUnless(process.getuid?.() === 0 ? undefined : "needs root")(
  "a directory whose name is outside of ASCII is mounted on, found and unmounted",
  () => {
    using directory = new TempDirectory();
    const path = directory.at("ü-Ċ");
    mkdirSync(path);
    const device = FuseDevice.open(REQUEST_BYTES);
    if (typeof device === "number") throw new Error(`errno ${device}`);
    using opened = device;
    expect(opened.mount(path, OPTIONS)).toBe(0);
    expect(mountsAt(path).map(({ type }) => type)).toEqual(["fuse"]);
    expect(detachMount(path)).toBe(0);
    expect(mountsAt(path)).toEqual([]);
  },
);

testUnless(process.getuid?.() === 0 ? undefined : "needs root")(
  "a mount is found by a path with symlinks, without a request to its server",
  () => {
    using directory = new TempDirectory();
    mkdirSync(directory.at("real/mount"), { recursive: true });
    symlinkSync("real", directory.at("above"));
    symlinkSync("above/mount", directory.at("link"));
    const device = FuseDevice.open(REQUEST_BYTES);
    if (typeof device === "number") throw new Error(`errno ${device}`);
    using opened = device;
    expect(opened.mount(directory.at("link"), OPTIONS)).toBe(0);
    // Nobody serves the device: a request would wait for ever.
    const found = ["link", "above/mount", "real/mount"].map((name) => mountsAt(directory.at(name)));
    expect(detachMount(directory.at("real/mount"))).toBe(0);
    expect(found.map((mounts) => mounts.map(({ type }) => type))).toEqual([
      ["fuse"],
      ["fuse"],
      ["fuse"],
    ]);
    expect(mountsAt(directory.at("link"))).toEqual([]);
    expect(mountsAt(directory.at("missing/mount"))).toEqual([]);
  },
);

test("a closed device does not read or write the file that got its descriptor number", () => {
  using directory = new TempDirectory();
  const path = directory.put("config.db", "SQLite format 3\0");
  const device = new FuseDevice(openSync("/dev/null", "r+"), REQUEST_BYTES);
  device[Symbol.dispose]();
  const file = openSync(path, "r+");
  // The next file that is opened usually gets the lowest free number; here it certainly does.
  if (file !== device.fd) shim.shim_replace(file, device.fd);
  expect(device.answer(Buffer.alloc(16), 16)).toBe(Errno.ENODEV);
  expect(device.read(0)).toBe(Errno.ENODEV);
  expect(readFileSync(path, "latin1")).toBe("SQLite format 3\0");
  for (const fd of new Set([file, device.fd])) closeSync(fd);
});

/** Takes every descriptor but two, then watches one; prints how. */
const WITHOUT_DESCRIPTORS = `
  import { closeSync, openSync } from "node:fs";
  import { wakeOn } from "./fuse-wake.ts";
  const taken = [];
  try {
    for (;;) taken.push(openSync("/dev/null", "r"));
  } catch {}
  const [first, ...others] = taken;
  for (const fd of others.splice(0, 2)) closeSync(fd);
  console.log(await wakeOn(first, () => {}).then(String, (error) => "threw " + error.code));
  process.exit();
`;

test("without a descriptor to watch the device with, the mount fails with the reason", () => {
  const words = ['ulimit -n 60; exec $0 -e "$1"', process.execPath, WITHOUT_DESCRIPTORS];
  const cwd = join(REPOSITORY, "src", "platform");
  const { stdout, stderr } = Bun.spawnSync(["sh", "-c", ...words], { cwd });
  expect(stdout.toString() + stderr.toString()).toBe("no thread (errno 24)\n");
});
