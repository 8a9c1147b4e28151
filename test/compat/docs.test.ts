/** The program accepts every `compat` command in docs/ci.md. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { REPOSITORY } from "../support/native.ts";
import { runProgram } from "./run-compat.ts";

const PAGE = readFileSync(join(REPOSITORY, "docs", "ci.md"), "utf8");

/** The arguments of each `pmxcfs-ipc compat` in the code blocks, without quotes. */
function commands(): string[][] {
  return [...PAGE.matchAll(/```\w+\n([^]*?)```/g)]
    .flatMap(([, block = ""]) => block.split("\n"))
    .flatMap((line) => /pmxcfs-ipc (compat .*?)(?:\s+#.*)?$/.exec(line)?.[1] ?? [])
    .map((words) =>
      [...words.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => {
        return quoted ?? plain ?? "";
      }),
    );
}

test("every command of docs/ci.md is accepted", async () => {
  const all = commands();
  expect(all.length).toBeGreaterThanOrEqual(6);
  for (const words of all) {
    const { code, err } = await runProgram([...words, "--list"]);
    expect({ words, code, err }).toEqual({ words, code: 0, err: "" });
  }
});
