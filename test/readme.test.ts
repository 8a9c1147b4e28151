/**
 * Runs the commands of the README and compares their output with the page: the block to paste in a
 * shell, and the commands of the `console` blocks, in their order, in one shell of a private node
 * with an empty /etc/pve.
 */
import { expect, setDefaultTimeout, test as always } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rootCommand } from "../src/cli/commands.ts";
import { createStyle } from "../src/cli/terminal.ts";
import { type Finding, found } from "../src/tools/check/finding.ts";
import { renderQuiet } from "../src/tools/check/report-text.ts";
import { makeReport } from "../src/tools/check/report.ts";
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

/** The text without times, pids and sums, which differ between runs. */
function withoutVariables(text: string): string {
  return text
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME")
    .replaceAll(/\w+\[\d+\] uid/g, "COMMAND[PID] uid")
    .replaceAll(/ {2,}/g, "  ")
    .replaceAll(/checksum [0-9a-f]+/g, "checksum SUM")
    .replaceAll(/^\[ipcs\] notice: removed \d+ ring directories.*\n/gm, "");
}

always("the README links every page of docs/ except formats, and no page that is missing", () => {
  const named = [...README.matchAll(/\((docs\/[\w./-]+\.md)/g)].map(([, path = ""]) => path);
  expect(named.filter((path) => !existsSync(join(REPOSITORY, path)))).toEqual([]);
  const all = [...new Bun.Glob("docs/*.md").scanSync({ cwd: REPOSITORY })];
  // The format of recordings is linked from the page about recording.
  const linked = all.filter((path) => !path.endsWith("recording.md"));
  expect(linked.filter((path) => !named.includes(path)).toSorted()).toEqual([]);
});

test("the block to paste prints the text below it", () => {
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

/** A report of `--check --quiet` with these findings. */
function quietReport(...findings: readonly Finding[]): string {
  const run = { host: "pve1", service: "pve2", at: 0, durationMs: 0 };
  return renderQuiet(makeReport(run, findings), createStyle(false));
}

always("the reports are those that --check --quiet prints for their findings", () => {
  const name = { name: "pve1", address: "127.0.1.1", hosts: "/etc/hosts", own: "192.0.2.11" };
  const fix =
    "sed --in-place=.bak-$(date +%Y%m%d-%H%M%S) '2s/127\\.0\\.1\\.1/192.0.2.11/' /etc/hosts" +
    " && systemctl restart pve-cluster";
  const named = quietReport(
    found("SOCKET_ABSENT", { service: "pve2" }),
    found("NAME_LOOPBACK", { ...name, where: "line 2 of /etc/hosts" }, { fix }),
  );
  const stopped = quietReport(
    found("SERVER_STOPPED", { pid: 36, command: "pmxcfs", state: "T" }),
    found("HANDSHAKE_HUNG", { service: "pve2", deadline: 2000, pid: 36 }),
    found("PVE_HUNG", { path: "/etc/pve", deadline: 2000 }),
  );
  expect(blocks("text").filter((text) => text.startsWith("FAIL"))).toEqual([named, stopped]);
});

test("every command of a session prints the text below it", async () => {
  const all = steps();
  expect(all.length).toBeGreaterThan(8);
  const lines = all.flatMap(({ command }) => [`echo '${MARK}'`, command]);
  await using node = await PrivateNode.start();
  const ran = await node.run(["bash", "-c", `exec 2>&1\n${lines.join("\n")}\n`], 60_000);
  const [, ...printed] = ran.stdout.split(`${MARK}\n`);
  const session = (texts: readonly string[]): string =>
    all
      .map(({ command }, index) => `$ ${command}\n${withoutVariables(texts[index] ?? "")}`)
      .join("");
  const page = session(all.map(({ shown }) => shown)).replaceAll(/\n\n+/g, "\n");
  expect(session(printed).trim()).toBe(page.trim());
});

always("the table of commands has exactly the commands of the program", () => {
  const [, table = ""] = /^## Commands\n([^]*?)^## /m.exec(README) ?? [];
  const rows = table.split("\n").filter((line) => line.startsWith("| `"));
  const named = rows.flatMap((row) => {
    const [, cell = ""] = row.split("|");
    return [...cell.matchAll(/`([a-z]+)`/g)].map(([, name = ""]) => name);
  });
  expect(named.toSorted()).toEqual([...rootCommand.children.keys()].toSorted());
});
