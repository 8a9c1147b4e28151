/** A chroot, as in a rescue system: its name is not that of the node whose files are there. */
import { DEFAULT_OPTIONS, runCheck } from "../../src/tools/check/check.ts";
import { localMachine, type Machine } from "../../src/tools/check/host.ts";
import { TempDirectory } from "../pmxcfs/support.ts";
import { needRoot } from "../support/identity.ts";
import { nodeTree, writeDatabase } from "./support/database.ts";
import { expect, test } from "bun:test";
import { mkdirSync } from "node:fs";

needRoot();

/** This machine with another name; `roots`: what stat(1) prints of pid 1's root and its own. */
function called(name: string, roots: string, directory: TempDirectory): Machine {
  const pve = directory.at("pve");
  const paths = { database: directory.at("config.db"), lockFile: directory.at("lock"), pve };
  const local = localMachine(paths);
  const outcome = { code: 0, out: roots, error: "", timedOut: false, missing: false };
  return {
    ...local,
    hostName: () => name,
    run: (words, deadlineMs) =>
      words.includes("/proc/1/root") ? Promise.resolve(outcome) : local.run(words, deadlineMs),
  };
}

test("a rescue system's name is missed neither in config.db nor in the mount", async () => {
  using directory = new TempDirectory();
  mkdirSync(directory.at("pve/nodes/pve1"), { recursive: true });
  writeDatabase(directory.at("config.db"), nodeTree("pve1"));
  const codes = async (name: string, roots: string, check: string) => {
    const options = {
      ...DEFAULT_OPTIONS,
      service: "test-none",
      deadlineMs: 10_000,
      totalMs: 50_000,
    };
    const selection = { only: [check], skip: [] };
    const { findings } = await runCheck(called(name, roots, directory), options, selection);
    return findings.flatMap(({ code }) => code ?? []);
  };
  for (const check of ["name", "database"]) {
    expect(await codes("renamed", "1:2\n1:2\n", check)).toContain("NODE_DIRECTORY_MISSING");
    expect(await codes("rescue", "1:2\n3:4\n", check)).toEqual([]);
  }
});

test("where systemctl shows nothing, no unit is said to be missing", async () => {
  const error = "Running in chroot, ignoring command 'show'\n";
  const outcome = { code: 0, out: "", error, timedOut: false, missing: false };
  const machine: Machine = { ...localMachine(), run: () => Promise.resolve(outcome) };
  const options = { ...DEFAULT_OPTIONS, service: "test-none" };
  const { findings } = await runCheck(machine, options, { only: ["unit"], skip: [] });
  expect(findings.map(({ severity, text }) => [severity, text])).toEqual([
    ["skip", "systemctl: Running in chroot, ignoring command 'show'"],
  ]);
});
