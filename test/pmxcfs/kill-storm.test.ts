/**
 * SIGKILL in the middle of a storm of changes, repeatedly on one database: every answered change is
 * there at the next start, at most one more, the database is undamaged, and the C server's rules
 * accept it (and the C server itself, if PMXCFS_C_SERVER is its path).
 * PMXCFS_IPC_STORMS sets the rounds (200 by hand), PMXCFS_IPC_STORM_SEED the seed.
 */
import { expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { rmSync, statSync } from "node:fs";
import { silentLog } from "../../src/base/log.ts";
import { openTree } from "../../src/pmxcfs/store/open-tree.ts";
import { filesByCServer, noCServer } from "../support/c-server.ts";
import { eventually } from "../support/eventually.ts";
import { TempDirectory } from "./support.ts";
import { stormCommands } from "./storm-commands.ts";
import { TreeModel } from "./tree-model.ts";
import { rowsIn } from "./tree-rows-of.ts";

const ROUNDS = Number(process.env["PMXCFS_IPC_STORMS"] ?? 6);
const SEED = Number(process.env["PMXCFS_IPC_STORM_SEED"] ?? Date.now() % 1_000_000);
const COMMANDS = 3000;
const STORM = new URL("./servers/storm.ts", import.meta.url).pathname;

/** Runs a storm and kills it after about `killAfter` answers; returns their number. */
async function storm(file: string, mode: string, seed: number, killAfter: number): Promise<number> {
  const answers = `${file}.answers`;
  rmSync(answers, { force: true });
  const sizeOfAnswers = (): number => statSync(answers, { throwIfNoEntry: false })?.size ?? 0;
  const child = Bun.spawn(
    [process.execPath, STORM, file, mode, String(seed), String(COMMANDS), answers],
    { stdout: "ignore", stderr: "inherit" },
  );
  try {
    await eventually(`${killAfter} answers`, () => sizeOfAnswers() >= killAfter, 60_000);
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
  return sizeOfAnswers();
}

function check(file: string): string {
  using database = new Database(file, { readonly: true });
  return String(database.query("PRAGMA integrity_check").values()[0]?.[0]);
}

/** Removes files in the place of guest directories: the C server does not start with them. */
function withoutRefused(file: string, model: TreeModel): void {
  const tree = openTree({ file, log: silentLog });
  if (typeof tree === "string") throw new Error(tree);
  for (const [path, { kind }] of model.entries) {
    if (kind !== "file" || !/^nodes\/[^/]+\/(qemu-server|lxc|openvz)$/.test(path)) continue;
    tree.apply({ kind: "remove", path }, { writer: 0, time: 1000 });
    model.apply({ kind: "remove", path }, 0, 1000);
  }
  tree[Symbol.dispose]();
}

/** What `sha256sum` prints for each file of the model, in the order of `sort`. */
function filesOf(model: TreeModel): string[] {
  const lines = [...model.entries].flatMap(([path, { kind, bytes }]) => {
    const sum = new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
    return kind === "file" ? [`${sum}  ./${path}`] : [];
  });
  return lines.toSorted();
}

for (const mode of ["each", "batched"]) {
  test(`${mode}: ${ROUNDS} times (seed ${SEED})`, async () => {
    using directory = new TempDirectory();
    const file = directory.at("config.db");
    const model = new TreeModel();
    const applied = (seed: number, index: number): boolean => {
      const { command, origin } = stormCommands(seed, COMMANDS)[index]!;
      return typeof model.apply(command, origin.writer, origin.time) === "number";
    };
    // A new database, so that the model knows when it was made.
    const fresh = openTree({ file, log: silentLog });
    if (typeof fresh === "string") throw new Error(fresh);
    model.mtime = fresh.memdb.root.mtime;
    fresh[Symbol.dispose]();
    let extra = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const seed = SEED + round;
      const commands = stormCommands(seed, COMMANDS);
      const answers = await storm(file, mode, seed, 1 + ((seed * 7919) % 900));
      expect(answers).toBeGreaterThan(0);
      for (const { command, origin } of commands.slice(0, answers)) {
        model.apply(command, origin.writer, origin.time);
      }
      const tree = openTree({ file, log: silentLog });
      if (typeof tree === "string") throw new Error(tree);
      // The change under way may be there as well.
      if (tree.version > model.version) extra += applied(seed, answers) ? 1 : 0;
      tree[Symbol.dispose]();
      expect([seed, answers, rowsIn(file)]).toEqual([seed, answers, model.rows()]);
      expect(check(file)).toBe("ok");
    }
    expect(extra).toBeLessThanOrEqual(ROUNDS);
    if (noCServer() !== undefined) return;
    withoutRefused(file, model);
    expect(filesByCServer(file).files).toEqual(filesOf(model));
  }, 600_000);
}
