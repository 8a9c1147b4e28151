/**
 * The README's sessions, run as they stand there: each command of its `console` blocks, in order,
 * in one shell, with what it prints held against what the page shows. In a network namespace of
 * its own, where nobody else can have the name pve2.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rootCommand } from "../src/cli/commands.ts";
import { needRoot } from "./support/identity.ts";
import { REPOSITORY } from "./support/native.ts";

needRoot();

const README = readFileSync(join(REPOSITORY, "README.md"), "utf8");
const MARK = "=-=-=";

interface Step {
  readonly command: string;
  readonly shown: string;
}

let directory: string;

beforeAll(() => {
  const { exitCode } = Bun.spawnSync([process.execPath, "build.ts"], { cwd: REPOSITORY });
  expect(exitCode).toBe(0);
  directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-readme-"));
  for (const name of ["dist", "test"]) symlinkSync(join(REPOSITORY, name), join(directory, name));
}, 60_000);

afterAll(() => rmSync(directory, { recursive: true, force: true }));

function steps(): Step[] {
  const blocks = [...README.matchAll(/^```console\n([^]*?)^```/gm)].map(([, text = ""]) => text);
  return blocks
    .join("")
    .split(/^\$ /m)
    .slice(1)
    .map((step) => {
      const [command = "", ...shown] = step.split("\n");
      return { command, shown: shown.join("\n") };
    });
}

/** A script that runs the steps, and says where each begins. */
function scriptOf(all: readonly Step[]): string {
  const lines = all.flatMap(({ command }) => {
    const ready =
      "for i in $(seq 500); do grep -q '@pve2@' /proc/net/unix && break; sleep 0.01; done";
    // A change needs a moment until it is seen; a reader of the page takes longer than that.
    const seen =
      "for i in $(seq 500); do dist/pmxcfs-ipc call get-guest-list | grep -q ' 2$' && break; done";
    const after = command.endsWith("&") ? ready : command.includes(">> pve/") ? seen : "true";
    return [`echo '${MARK}'`, command, after];
  });
  return `exec 2>&1\n${lines.join("\n")}\n`;
}

/** Numbers and times of one run are no part of what is promised. */
function timeless(text: string): string {
  return text
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME")
    .replaceAll(/"starttime": \d+/g, '"starttime": N')
    .replaceAll(/up to \d+ connections/g, "up to N connections")
    .replaceAll(/\/dev\/shm\/qb-\d+-/g, "/dev/shm/qb-PID-")
    .replaceAll(/^TIME \[ipcs\] info: removed .*\n/gm, "");
}

test("every command prints what the page shows", () => {
  const all = steps();
  expect(all.length).toBeGreaterThan(8);
  const words = ["unshare", "--net", "bash", "-c", scriptOf(all)];
  const { stdout } = Bun.spawnSync(words, {
    cwd: directory,
    env: { PATH: process.env["PATH"] ?? "", LC_ALL: "C.UTF-8" },
  });
  const [, ...printed] = stdout.toString().split(`${MARK}\n`);
  const ran = all.map(({ command }, index) => `$ ${command}\n${timeless(printed[index] ?? "")}`);
  const shown = all.map(({ command, shown: lines }) => `$ ${command}\n${timeless(lines)}`);
  expect(ran.join("").trim()).toBe(shown.join("").replaceAll(/\n\n+/g, "\n").trim());
});

test("the table of commands has the program's commands, all of them", () => {
  const [, table = ""] = /^## Commands\n([^]*?)^## /m.exec(README) ?? [];
  const rows = table.split("\n").filter((line) => line.startsWith("| `"));
  const named = rows.flatMap((row) => {
    const [, cell = ""] = row.split("|");
    return [...cell.matchAll(/`([a-z]+)`/g)].map(([, name = ""]) => name);
  });
  expect(named.toSorted()).toEqual([...rootCommand.children.keys()].toSorted());
});
