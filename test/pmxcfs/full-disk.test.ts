/** A config.db on a full file system, and on a read-only one; needs root, uses a tmpfs. */
import { expect } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { testUnless } from "../support/unless.ts";
import { TempDirectory } from "./support.ts";

const CHILD = new URL("./servers/full-disk.ts", import.meta.url).pathname;
const noRoot = process.getuid?.() === 0 ? undefined : "needs root, for a mount namespace";

interface Outcome {
  readonly answers: Readonly<Record<string, number>>;
  readonly names: readonly (readonly [string, number])[];
  readonly lines: readonly string[];
}

function run(mode: string): Outcome {
  using directory = new TempDirectory();
  const script = 'mount -t tmpfs -o size=400k tmpfs "$1" && exec "$2" "$3" "$1" "$4"';
  const words = [directory.path, process.execPath, CHILD, mode];
  const { stdout, stderr } = Bun.spawnSync(
    ["unshare", "--mount", "sh", "-c", script, "full-disk", ...words],
    { stderr: "pipe" },
  );
  expect(stderr.toString()).toBe("");
  return JSON.parse(stdout.toString()) as Outcome;
}

for (const mode of ["each", "batched"]) {
  testUnless(noRoot)(`changes are EIO only while the disk is full or read-only (${mode})`, () => {
    const { answers, names, lines } = run(mode);
    expect(answers["empty"]).toBe(20_000);
    expect([answers["full"], answers["full again"]]).toEqual([Errno.EIO, Errno.EIO]);
    expect(answers["room"]).toBe(20_000);
    // Answered changes are there, refused ones are not.
    const sizes = new Map(names);
    expect([sizes.get("empty"), sizes.get("room")]).toEqual([20_000, 20_000]);
    // A create may still fit where the write after it does not.
    for (const name of ["full", "full2"]) expect([undefined, 0]).toContain(sizes.get(name));
    if (mode === "batched") return;
    expect(lines.filter((line) => line.includes("was not written")).length).toBe(1);
    expect(answers["read-only start refused"]).toBe(1);
  });
}
