/** Mounting and unmounting at a directory, without a server. */
import { expect } from "bun:test";
import { mkdirSync } from "node:fs";
import { detachMount, FuseDevice } from "../../src/platform/fuse-device.ts";
import { mountsAt } from "../../src/platform/mounts.ts";
import { TempDirectory } from "../pmxcfs/support.ts";
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
