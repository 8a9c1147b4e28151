/** Another server on a node's database, as it is found by its open files. */
import { expect, test } from "bun:test";
import { closeSync, copyFileSync, openSync, readlinkSync } from "node:fs";
import { findDatabaseUser } from "../src/daemon/node/other-server.ts";
import { eventually } from "./support/eventually.ts";
import { TempDirectory } from "./pmxcfs/support.ts";

/** A process that is named as a server and has `path` open: for writing, unless `flags` differs. */
function holderOf(
  directory: TempDirectory,
  path: string,
  flags: "r" | "r+" = "r+",
): Disposable & { readonly pid: number } {
  const program = directory.at("pmxcfs-held");
  copyFileSync(Bun.which("sleep") ?? "/bin/sleep", program);
  const fd = openSync(path, flags);
  const child = Bun.spawn([program, "60"], { stdio: [fd, "ignore", "ignore"] });
  closeSync(fd);
  const { pid } = child;
  return { pid, [Symbol.dispose]: () => child.kill() };
}

async function started({ pid }: { readonly pid: number }): Promise<void> {
  await eventually("the process runs", () => {
    return readlinkSync(`/proc/${pid}/exe`).endsWith("pmxcfs-held");
  });
}

test("a server is found by its open database", async () => {
  using directory = new TempDirectory();
  const database = directory.put("config.db");
  const other = directory.put("config.db-copy");
  using holder = holderOf(directory, database);
  await started(holder);
  expect(findDatabaseUser(database, [process.pid])).toMatch(
    new RegExp(`^another pmxcfs \\(pid ${holder.pid}, .*\\) uses .*/config.db: stop it first`),
  );
  expect(findDatabaseUser(database, [process.pid, holder.pid])).toBeUndefined();
  expect(findDatabaseUser(other, [process.pid])).toBeUndefined();
});

test("a process that only reads the database, as serve --db does, prevents no start", async () => {
  using directory = new TempDirectory();
  const database = directory.put("config.db");
  using reader = holderOf(directory, database, "r");
  await started(reader);
  expect(findDatabaseUser(database, [process.pid])).toBeUndefined();
});
