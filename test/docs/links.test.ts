/** The links of all pages: each leads to a file and a heading that exist. */
import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { REPOSITORY } from "../support/native.ts";

const PAGES = ["*.md", "bench/*.md", "docs/**/*.md"].flatMap((pattern) => {
  return Array.from(new Bun.Glob(pattern).scanSync({ cwd: REPOSITORY }));
});
const LINK = /\]\(([^)\s]+)\)/g;

function read(page: string): string {
  return readFileSync(join(REPOSITORY, page), "utf8");
}

/** The anchor that GitHub and GitLab make of a heading. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\w\- ]/g, "")
    .replaceAll(" ", "-");
}

function anchorsOf(text: string): Set<string> {
  const prose = text.replaceAll(/^```[^]*?^```/gm, "");
  return new Set([...prose.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => anchorOf(heading)));
}

/** The broken links of a page with this text. */
function brokenLinks(page: string, text: string): string[] {
  const links = [...text.matchAll(LINK)].map(([, link = ""]) => link);
  const own = links.filter((link) => !/^[a-z]+:/.test(link));
  return own.flatMap((link) => {
    const [path = "", anchor] = link.split("#");
    const target = path === "" ? page : normalize(join(dirname(page), path));
    if (!existsSync(join(REPOSITORY, target))) return [`${page}: ${link} is not there`];
    if (anchor === undefined || anchorsOf(read(target)).has(anchor)) return [];
    return [`${page}: ${link} has no such heading`];
  });
}

test("every link of a page leads to a file and a heading that exist", () => {
  expect(PAGES.length).toBeGreaterThan(20);
  expect(PAGES.flatMap((page) => brokenLinks(page, read(page)))).toEqual([]);
});

test("a link to a missing file and one to a missing heading are found", () => {
  const text = "[a](nowhere.md) [b](docs/cluster.md#no-such-heading) [c](https://example.org/x)";
  expect(brokenLinks("README.md", text)).toEqual([
    "README.md: nowhere.md is not there",
    "README.md: docs/cluster.md#no-such-heading has no such heading",
  ]);
});
