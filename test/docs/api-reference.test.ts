/** docs/api.md has the present doc comments of the exported names. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { API, apiReference } from "./api-reference.ts";

/** The text without what the formatter changes in Markdown: runs of spaces, and blank lines. */
function unformatted(text: string): string {
  return text.replaceAll(/\s+/g, " ");
}

test("the API reference is current (bun run api writes it)", () => {
  expect(unformatted(readFileSync(API, "utf8"))).toBe(unformatted(apiReference()));
});

test("each exported function and class has a doc comment in it", () => {
  const sections = apiReference().split(/^## /m).slice(1);
  const bare = sections.filter((section) => /^\w+\n\n```ts\n(?:class|function)/.test(section));
  expect(bare.map((section) => section.split("\n")[0])).toEqual([]);
});
