/** `config import --force` or `restore` that was killed before it replaced the database. */
import { expect, test } from "bun:test";
import { existsSync, linkSync, readdirSync, renameSync, rmSync, utimesSync } from "node:fs";
import type { CommitMode } from "../../src/pmxcfs/store/open-tree.ts";
import { apply, crash, mkdir, opened } from "./batched-tree.ts";
import { rememberingLog, TempDirectory, Writer } from "./support.ts";

const COPY = "config.db.bak-20261126T031500Z";

/**
 * What a killed server leaves, with a change that is only beside config.db, after `replaceDatabase`
 * was killed before its last rename.
 */
function interrupted(directory: TempDirectory, commit: CommitMode): string {
  using server = new TempDirectory();
  opened(server.at("config.db"))[Symbol.dispose]();
  using tree = opened(server.at("config.db"), { commit });
  apply(tree, mkdir("answered"));
  const file = crash(server.at("config.db"), directory);
  linkSync(file, directory.at(COPY));
  for (const suffix of ["-wal", ".changes"]) {
    if (existsSync(file + suffix)) renameSync(file + suffix, directory.at(COPY + suffix));
  }
  return file;
}

/** The names in the tree of a database, as the next server has it. */
function served(file: string, log = rememberingLog()): { names: string[]; lines: string[] } {
  using tree = opened(file, { commit: "each" }, log);
  return { names: [...tree.entries()].map(({ name }) => name), lines: [...log.lines] };
}

test.each([
  ["each", `${COPY}-wal moved back`],
  ["batched", `${COPY}-wal, ${COPY}.changes moved back`],
] as const)("is undone by the next start, with --commit %s", (commit, line) => {
  using directory = new TempDirectory();
  const file = interrupted(directory, commit);
  const { names, lines } = served(file);
  expect(names).toEqual(["answered"]);
  expect(lines[0]).toEndWith(line);
  expect(readdirSync(directory.path)).toEqual(["config.db"]);
  expect(served(file)).toEqual({ names: ["answered"], lines: [] });
});

test("is not undone in a database that was changed since, and that is logged", () => {
  using directory = new TempDirectory();
  const file = interrupted(directory, "each");
  // By the C server, which keeps no second names.
  for (const name of [`${file}.served`, `${file}.served-wal`]) rmSync(name);
  {
    using writer = new Writer(file);
    writer.create("later", 4);
  }
  const later = Date.now() / 1000 + 10;
  utimesSync(file, later, later);
  const { names, lines } = served(file);
  expect(names).toEqual(["later"]);
  expect(lines).toEqual([expect.stringContaining(`changes from before are only in ${COPY}-wal`)]);
  expect(readdirSync(directory.path).toSorted()).toEqual(["config.db", COPY, `${COPY}-wal`]);
});
