/** The machine as the probes see it: no read blocks this thread, so that every deadline holds. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Errno } from "../../src/base/errno.ts";
import { localMachine } from "../../src/tools/check/host.ts";

test("a file is read by another thread: its text needs a turn of the event loop", async () => {
  const directory = mkdtempSync(join(tmpdir(), "check-host-"));
  try {
    const path = join(directory, "file");
    writeFileSync(path, "text");
    let text: string | Errno | undefined;
    const read = localMachine()
      .text(path)
      .then((result) => (text = result));
    // Microtasks only: the event loop does not turn. A system call of this thread would be done.
    for (let count = 0; count < 1000; count++) await Promise.resolve();
    expect(text).toBeUndefined();
    expect(await read).toBe("text");
    expect(await localMachine().text(directory)).toBe(Errno.EISDIR);
    expect(await localMachine().text(`${path}-none`)).toBe(Errno.ENOENT);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
