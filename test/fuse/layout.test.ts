/** Compares our FUSE structures with the kernel's header, printed by test/native/fuse-layout.c. */
import { expect, test } from "bun:test";
import * as layouts from "../../src/fuse/layouts.ts";
import { native } from "../support/native.ts";

interface Layout {
  readonly size: number;
  readonly offset: Readonly<Record<string, number>>;
}

const kernel = JSON.parse(Bun.spawnSync([native("fuse-layout")]).stdout.toString()) as Record<
  string,
  Layout
>;
const ours = layouts as unknown as Record<string, Layout>;

for (const [name, { size, offset }] of Object.entries(kernel)) {
  test(`${name} has the size and offsets of linux/fuse.h`, () => {
    expect(ours[name]?.size).toBe(size);
    expect(ours[name]?.offset).toMatchObject(offset);
  });
}
