/**
 * What the README shows, run as it stands there: the block to paste is pasted into a shell, and the
 * commands of the `console` blocks run in order in one shell of a node of its own (namespaces,
 * empty /etc/pve); what they print is held against the page.
 */
import { expect, setDefaultTimeout, test as always } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rootCommand } from "../src/cli/commands.ts";
import { REPOSITORY } from "./support/native.ts";
import { noPrivateNode, PrivateNode } from "./support/private-node.ts";
import { testUnless } from "./support/unless.ts";

setDefaultTimeout(120_000);
const test = testUnless(noPrivateNode());

const README = readFileSync(join(REPOSITORY, "README.md"), "utf8");
const MARK = "=-=-=";

interface Step {
  readonly command: string;
  readonly shown: string;
}

/** The contents of the fenced blocks of one language, in order. */
function blocks(language: string): string[] {
  const fenced = new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, "gm");
  return [...README.matchAll(fenced)].map(([, text = ""]) => text);
}

function steps(): Step[] {
  return blocks("console")
    .join("")
    .split(/^\$ /m)
    .slice(1)
    .map((step) => {
      const [command = "", ...shown] = step.split("\n");
      return { command, shown: shown.join("\n") };
    });
}

/** Times, pids and sizes of one run are no part of what is promised. */
function timeless(text: string): string {
  return text
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME")
    .replaceAll(/\w+\[\d+\] uid/g, "COMMAND[PID] uid")
    .replaceAll(/ {2,}/g, "  ")
    .replaceAll(/checksum [0-9a-f]+/g, "checksum SUM")
    .replaceAll(/^\[ipcs\] info: removed \d+ ring directories.*\n/gm, "");
}

always("every document the README names is there, and no other is left out", () => {
  const named = [...README.matchAll(/\((docs\/[\w./-]+\.md)/g)].map(([, path = ""]) => path);
  const missing = [...new Set(named)].filter((path) => {
    return !Bun.spawnSync(["test", "-f", path], { cwd: REPOSITORY }).success;
  });
  expect(missing).toEqual([]);
  const all = [...new Bun.Glob("docs/*.md").scanSync({ cwd: REPOSITORY })];
  // Formats and internals are linked from the pages they belong to.
  const linked = all.filter((path) => !path.endsWith("recording.md"));
  expect(linked.filter((path) => !named.includes(path)).toSorted()).toEqual([]);
});

test("the block to paste does what the page shows below it", () => {
  const [, block = "", , shown = ""] =
    /^```sh\n(mkdir -p pve[^]*?)^```(\s*)```text\n([^]*?)^```/m.exec(README) ?? [];
  expect(block).toContain("serve --dir pve");
  const directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-readme-"));
  symlinkSync(join(REPOSITORY, "dist"), join(directory, "dist"));
  try {
    const { stdout, stderr } = Bun.spawnSync(["bash"], {
      cwd: directory,
      stdin: Buffer.from(block),
      env: { PATH: process.env["PATH"] ?? "", LC_ALL: "C.UTF-8" },
    });
    expect(stdout.toString() + stderr.toString()).toBe(shown);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("every command of a session prints what the page shows", async () => {
  const all = steps();
  expect(all.length).toBeGreaterThan(8);
  const lines = all.flatMap(({ command }) => [`echo '${MARK}'`, command]);
  await using node = await PrivateNode.start();
  const ran = await node.run(["bash", "-c", `exec 2>&1\n${lines.join("\n")}\n`], 60_000);
  const [, ...printed] = ran.stdout.split(`${MARK}\n`);
  const got = all.map(({ command }, index) => `$ ${command}\n${timeless(printed[index] ?? "")}`);
  const shown = all.map(({ command, shown: text }) => `$ ${command}\n${timeless(text)}`);
  expect(got.join("").trim()).toBe(shown.join("").replaceAll(/\n\n+/g, "\n").trim());
});

always("the table of commands has the program's commands, all of them", () => {
  const [, table = ""] = /^## Commands\n([^]*?)^## /m.exec(README) ?? [];
  const rows = table.split("\n").filter((line) => line.startsWith("| `"));
  const named = rows.flatMap((row) => {
    const [, cell = ""] = row.split("|");
    return [...cell.matchAll(/`([a-z]+)`/g)].map(([, name = ""]) => name);
  });
  expect(named.toSorted()).toEqual([...rootCommand.children.keys()].toSorted());
});
