/** The rendered help of every command: what `--no-x` says is what `--no-x` does. */
import { expect, test } from "bun:test";
import { programPlaces } from "../../packaging/tree.ts";
import { helpText } from "../../src/cli/help.ts";

test("a --no-x option is described by what it does", async () => {
  let seen = 0;
  for (const { path, command } of await programPlaces()) {
    const help = await helpText(path, command);
    // A long option stands on a line of its own, its meaning on the next.
    for (const [, name, meaning] of help.matchAll(/^ {2}(--no-[\w-]+)\s+(\S.*)$/gm)) {
      expect(`${name}: ${meaning}`).toMatch(/: (Do not|Never|Keep|No) /);
      seen++;
    }
    expect(help).not.toContain("did you mean");
  }
  expect(seen).toBeGreaterThan(3);
});

test("--no-redact says that secrets are then in the file", async () => {
  const record = (await programPlaces()).find(({ path }) => path[1] === "record");
  if (record === undefined) throw new Error("no record command");
  expect(await helpText(record.path, record.command)).toMatch(
    /--no-redact +Keep secrets in the file/,
  );
});
