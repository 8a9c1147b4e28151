/** Runs shim-test.c, which includes native/shim.c, under AddressSanitizer and UBSan. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { REPOSITORY } from "../support/native.ts";

setDefaultTimeout(120_000);

const FLAGS = (
  "-std=gnu11 -O1 -g -Wall -Wextra -Werror -pthread " +
  "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
).split(" ");

test("the shim passes its checks, and the sanitizers report nothing", () => {
  const directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-shim-"));
  try {
    const program = join(directory, "shim-test");
    const source = join(REPOSITORY, "test", "native", "shim-test.c");
    const built = Bun.spawnSync(["cc", ...FLAGS, source, "-o", program], { stderr: "pipe" });
    expect(built.stderr.toString()).toBe("");
    const ran = Bun.spawnSync([program], {
      env: { ...process.env, ASAN_OPTIONS: "handle_sigbus=0:detect_leaks=1" },
      stdout: "pipe",
      stderr: "pipe",
    });
    expect(ran.stderr.toString()).toBe("");
    expect(ran.stdout.toString()).toBe("0 failed\n");
    expect(ran.exitCode).toBe(0);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
