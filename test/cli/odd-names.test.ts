/** A file name with control characters: no command prints it unescaped. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { REPOSITORY } from "../support/native.ts";

const ODD = "x\u202Ey\u009Bz\u2066\u001B[31m\u007F\u2028q";
const RAW = /(?!\n)[\p{Cc}\p{Zl}\p{Bidi_Control}]/u;
/** In the escaped name, as text and as JSON. */
const ESCAPED = String.raw`\u202e`;

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "odd-names-"));
  for (const tree of [ODD, "other"]) {
    mkdirSync(join(directory, tree));
    writeFileSync(join(directory, tree, `${ODD}.cfg`), `${tree}\n`);
  }
});
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** In this order: the first ones make the files of the others. */
const COMMANDS: readonly (readonly string[])[] = [
  ["config", "import", "--db", `${ODD}.db`, ODD],
  ["config", "import", "--db", `${ODD}.other`, "other"],
  ["config", "verify", "--db", `${ODD}.db`],
  ["config", "ls", "--db", `${ODD}.db`],
  ["config", "export", "--db", `${ODD}.db`, `${ODD}.out`],
  ["config", "backup", "--db", `${ODD}.db`, `${ODD}.kept`],
  ["config", "diff", `${ODD}.db`, `${ODD}.other`],
  ["config", "diff", "--json", `${ODD}.db`, `${ODD}.other`],
  ["config", "compact", "--db", `${ODD}.db`],
  ["config", "flush", "--db", `${ODD}.db`],
  ["config", "rename-node", "--db", `${ODD}.db`, "a", "b"],
  ["config", "verify", "--db", `${ODD}.absent`],
  ["history", "--history", `${ODD}.db`],
];

function output(words: readonly string[]): string {
  const command = [process.execPath, join(REPOSITORY, "src/main.ts"), ...words];
  const { stdout, stderr } = Bun.spawnSync(command, { cwd: directory, stdin: "ignore" });
  return stdout.toString() + stderr.toString();
}

test("every command prints the name of a file escaped", () => {
  for (const words of COMMANDS) {
    const printed = output(words);
    expect(printed, words.join(" ")).toContain(ESCAPED);
    expect(printed, words.join(" ")).not.toMatch(RAW);
  }
  expect(output(["config", "verify", "--json", "--db", `${ODD}.db`])).not.toMatch(RAW);
});
