/** The machine as the probes see it: no read blocks this thread, so that every deadline holds. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Errno } from "../../src/base/errno.ts";
import { DEFAULT_OPTIONS, runCheck } from "../../src/tools/check/check.ts";
import { localMachine, type Machine } from "../../src/tools/check/host.ts";

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

test("a command that cannot be started, or is killed, has no exit code, and a reason", async () => {
  const directory = mkdtempSync(join(tmpdir(), "check-host-"));
  try {
    const path = join(directory, "no-interpreter");
    writeFileSync(path, "#!/nowhere/sh\n", { mode: 0o755 });
    const unstarted = await localMachine().run([path], 10_000);
    expect(unstarted).toMatchObject({ code: undefined, timedOut: false, missing: false });
    expect(unstarted.error).toStartWith(`${path} cannot be started: `);
    const killed = await localMachine().run(["sh", "-c", "echo part; kill -9 $$"], 10_000);
    expect(killed).toMatchObject({ code: undefined, out: "part\n", timedOut: false });
    expect(killed.error).toBe("sh was killed by SIGKILL");
  } finally {
    rmSync(directory, { recursive: true });
  }
});

/** A machine on which every command ends like this. */
function failing(error: string): Machine {
  const outcome = { code: undefined, out: "", error, timedOut: false, missing: false };
  return { ...localMachine(), run: async () => outcome };
}

test("without processes to start, no check blames the node or itself", async () => {
  const machine = failing("x cannot be started: EAGAIN");
  const only = ["name", "mount", "unit", "identity"];
  const { findings } = await runCheck(machine, DEFAULT_OPTIONS, { only, skip: [] });
  const bad = findings.filter(({ severity }) => severity === "warn" || severity === "fail");
  expect(bad.map(({ code }) => code)).not.toContain("NAME_UNRESOLVED");
  expect(bad.map(({ code }) => code)).not.toContain("PROBE_FAILED");
  const name = findings.find(({ check }) => check === "name");
  expect(name?.text).toBe("the lookup failed: x cannot be started: EAGAIN");
});
