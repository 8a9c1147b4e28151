/** The rules of test/support/tidy.ts on every file of the repository, and each on a bad file. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  brokenCitations,
  circles,
  importsOf,
  partOf,
  RULES,
  type Source,
  unreached,
} from "./support/tidy.ts";

const ROOT = join(import.meta.dir, "..");
/** Data, and texts of others: no rule applies. */
const NOT_OURS = /^(LICENSE|package-lock\.json|test\/golden\/.*\.(json|bin))$/;
/** Files with more lines are printed, but pass. */
const LONG_LINES = 300;
/** At most one file of src in so many may be longer. */
const LONG_SHARE = 16;

function repository(): Source[] {
  const words = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate"];
  const { stdout } = Bun.spawnSync(words, { cwd: ROOT });
  const paths = stdout.toString().trim().split("\n");
  return paths
    .filter((path) => !NOT_OURS.test(path))
    .flatMap((path) => {
      try {
        return [{ path, text: readFileSync(join(ROOT, path), "utf8") }];
      } catch {
        // Deleted, and not committed yet.
        return [];
      }
    });
}

describe("the repository is tidy", () => {
  const sources = repository();

  for (const rule of RULES) {
    test(rule.name, () => {
      const found = sources
        .filter(({ path }) => rule.covers(path))
        .flatMap((source) => rule.find(source).map((what) => `${source.path}: ${what}`));
      expect(found).toEqual([]);
    });
  }

  test("every file of src is reached from main.ts or index.ts", () => {
    expect(unreached(sources)).toEqual([]);
  });

  test("imports form no circle, types included", () => {
    expect(circles(sources)).toEqual([]);
  });

  test("a cited path exists", () => {
    expect(brokenCitations(sources)).toEqual([]);
  });

  test("few files are longer than 300 lines", () => {
    const long = sources
      .map(({ path, text }) => ({ path, lines: text.split("\n").length - 1 }))
      .filter(
        ({ path, lines }) => /^(src|bench|packaging)\/.*\.ts$/.test(path) && lines > LONG_LINES,
      );
    for (const { path, lines } of long) console.warn(`${path} has ${lines} lines`);
    const files = sources.filter(({ path }) => path.startsWith("src/")).length;
    expect(long.length).toBeLessThan(files / LONG_SHARE);
  });
});

describe("each rule can fail", () => {
  for (const { name, covers, find, bad } of RULES) {
    test(name, () => {
      expect(covers(bad.path)).toBe(true);
      expect(find(bad)).not.toEqual([]);
    });
  }

  test("a file without an importer is found", () => {
    const main = { path: "src/main.ts", text: 'import { a } from "./ipc/a.ts";' };
    const lost = { path: "src/ipc/b.ts", text: "" };
    expect(unreached([main, { path: "src/ipc/a.ts", text: "" }, lost])).toEqual(["src/ipc/b.ts"]);
  });
});

test("a circle of imports is found, of types and through a third file", () => {
  const circle = circles([
    { path: "src/ipc/a.ts", text: 'import type { B } from "./b.ts";' },
    { path: "src/ipc/b.ts", text: 'import { c } from "./c.ts";' },
    { path: "src/ipc/c.ts", text: 'import type { A } from "./a.ts";' },
    { path: "src/ipc/d.ts", text: 'import { a } from "./a.ts";\nimport { c } from "./c.ts";' },
  ]);
  expect(circle).toEqual(["src/ipc/a.ts -> src/ipc/b.ts -> src/ipc/c.ts -> src/ipc/a.ts"]);
});

test("a citation of a missing file is found", () => {
  const text = `// See ${["docs", "nowhere.md"].join("/")}.`;
  expect(brokenCitations([{ path: "src/base/a.ts", text }])).toHaveLength(1);
});

describe("imports", () => {
  test("are static, dynamic, re-exported and of types, but not in comments", () => {
    const text = [
      'import { a } from "./a.ts";',
      'import type { B } from "../wire/b.ts";',
      'export { c } from "./c.ts";',
      'const d = await import("./d.ts");',
      '// import { e } from "./e.ts";',
      'import { f } from "node:fs";',
    ].join("\n");
    expect(importsOf({ path: "src/ipc/x.ts", text })).toEqual([
      "src/ipc/a.ts",
      "src/wire/b.ts",
      "src/ipc/c.ts",
      "src/ipc/d.ts",
    ]);
  });

  test("are compared by room: a folder of src, or of src/pmxcfs", () => {
    const paths = [
      "src/base/errno.ts",
      "src/main.ts",
      "src/daemon/daemon.ts",
      "src/pmxcfs/requests/operations/index.ts",
    ];
    expect(paths.map(partOf)).toEqual(["base", "main", "daemon", "pmxcfs/requests"]);
  });
});
