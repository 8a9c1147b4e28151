/** A file name with control characters: no command prints them unescaped. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { REPOSITORY } from "../support/native.ts";

const ODD = "x\u202Ey\u009Bz\u2066\u001B[31m\u007F\u2028q";
const RAW = /(?!\n)[\p{Cc}\p{Zl}\p{Bidi_Control}]/u;

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "odd-names-"));
  mkdirSync(join(directory, ODD));
  writeFileSync(join(directory, ODD, `${ODD}.cfg`), "content\n");
});
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

const COMMANDS: readonly (readonly string[])[] = [
  ["config", "import", "--db", `${ODD}.db`, ODD],
  ["config", "verify", "--db", `${ODD}.db`],
  ["config", "verify", "--json", "--db", `${ODD}.db`],
  ["config", "ls", "--db", `${ODD}.db`],
  ["config", "export", "--db", `${ODD}.db`, `${ODD}.out`],
  ["config", "backup", "--db", `${ODD}.db`, `${ODD}.kept`],
  ["config", "diff", `${ODD}.db`, `${ODD}.db`],
  ["config", "compact", "--db", `${ODD}.db`],
  ["config", "flush", "--db", `${ODD}.db`],
  ["config", "rename-node", "--db", `${ODD}.db`, "a", "b"],
  ["config", "verify", "--db", `${ODD}.absent`],
  ["history", "--history", `${ODD}.db`],
];

test("no command prints the name of a file unescaped", () => {
  for (const words of COMMANDS) {
    const command = [process.execPath, join(REPOSITORY, "src/main.ts"), ...words];
    const ran = Bun.spawnSync(command, { cwd: directory, stdin: "ignore" });
    const said = ran.stdout.toString() + ran.stderr.toString();
    expect(said, words.join(" ")).not.toBe("");
    expect(said, words.join(" ")).not.toMatch(RAW);
  }
});
