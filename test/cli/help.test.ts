/** The help of every command: the text of a `--no-x` option is about `--no-x`, not about `--x`. */
import { expect, test } from "bun:test";
import { programPlaces } from "../../packaging/tree.ts";
import { helpText } from "../../src/cli/help.ts";

test("the text of a --no-x option begins with its negation", async () => {
  let options = 0;
  for (const { path, command } of await programPlaces()) {
    const help = await helpText(path, command);
    // The text of a long option is on the next line.
    for (const [, name, meaning] of help.matchAll(/^ {2}(--no-[\w-]+)\s+(\S.*)$/gm)) {
      expect(`${name}: ${meaning}`).toMatch(/: (Do not|Never|Keep|No) /);
      options++;
    }
    expect(help).not.toContain("did you mean");
  }
  expect(options).toBeGreaterThan(3);
});

test("the text of --no-redact says that secrets are in the file", async () => {
  const record = (await programPlaces()).find(({ path }) => path[1] === "record");
  if (record === undefined) throw new Error("no record command");
  expect(await helpText(record.path, record.command)).toMatch(
    /--no-redact +Keep secrets in the file/,
  );
});
