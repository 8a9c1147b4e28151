/** Shared by tests of the backend: temporary directories, a log that keeps lines, golden files. */
import { Database } from "bun:sqlite";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { writeConfigDb, type TreeItem } from "../../src/pmxcfs/store/config-writer.ts";
import { Backend, openBackend, type BackendOptions } from "../../src/pmxcfs/store/open.ts";
import type { Memdb } from "../../src/pmxcfs/state/memdb.ts";
import { silentLog, type Log } from "../../src/base/log.ts";

/** A directory under os.tmpdir() that `using` removes. */
export class TempDirectory implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-backend-"));

  at(...names: readonly string[]): string {
    return join(this.path, ...names);
  }

  /** Writes a file, and makes the directories above it. */
  put(name: string, content: string | Uint8Array = ""): string {
    const path = this.at(name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    return path;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Ids of this process's threads that run workers. */
export function workerThreads(): string[] {
  return readdirSync("/proc/self/task").filter((id) => {
    try {
      return readFileSync(`/proc/self/task/${id}/comm`, "latin1").trim() === "Worker";
    } catch {
      return false;
    }
  });
}

/** Keeps its lines. */
export function rememberingLog(): Log & { readonly lines: string[] } {
  const lines: string[] = [];
  const keep = (line: string): void => void lines.push(line);
  return { ...silentLog, warn: keep, error: keep, info: keep, lines };
}

export function open(options: Partial<BackendOptions>): Backend {
  const backend = openBackend({ nodeName: "pve1", log: silentLog, ...options });
  if (typeof backend === "string") throw new Error(backend);
  return backend;
}

export interface GoldenFile {
  /** UTF-8; ends in a slash for a directory. */
  readonly path: string;
  /** base64; null for a directory. */
  readonly content: string | null;
}

export function golden(name: string): unknown {
  return JSON.parse(readFileSync(join(import.meta.dir, "../golden", name), "utf8"));
}

/** The recorded tree as files. */
export function plantGolden(directory: string): void {
  for (const { path, content } of golden("tree.json") as GoldenFile[]) {
    const target = join(directory, path);
    if (content === null) mkdirSync(target, { recursive: true });
    else writeFileSync(target, Buffer.from(content, "base64"));
  }
}

/** Puts files (latin1 paths) into a tree without a source. */
export function fill(memdb: Memdb, files: Readonly<Record<string, string>>): void {
  for (const [path, content] of Object.entries(files)) {
    const names = path.split("/");
    let parent = memdb.root;
    for (const name of names.slice(0, -1)) {
      const inode = memdb.entryCount + 1;
      parent =
        parent.children.get(name) ??
        memdb.add(parent, { inode, kind: "directory", name, version: 1, writer: 0, mtime: 0 });
    }
    const inode = memdb.entryCount + 1;
    const name = names.at(-1) ?? "";
    const bytes = Buffer.from(content, "latin1");
    memdb.add(parent, { inode, kind: "file", name, bytes, version: 1, writer: 0, mtime: 0 });
  }
}

export const textOf = (bytes: Uint8Array | number): string =>
  typeof bytes === "number" ? String(bytes) : Buffer.from(bytes).toString("latin1");

/** The one guest of `makeDb`. */
export const GUEST = "nodes/pve1/qemu-server/100.conf";

export function item(path: string, content?: string): TreeItem {
  const bytes = content === undefined ? undefined : Buffer.from(content);
  return { path: path.split("/"), bytes, mtime: 1_700_000_000 };
}

/** A config.db with one guest and a few files. */
export function makeDb(directory: TempDirectory, extra: readonly TreeItem[] = []): string {
  const file = directory.at("config.db");
  const problem = writeConfigDb(file, [
    item("priv"),
    item("priv/lock"),
    item("nodes"),
    item("nodes/pve1"),
    item("nodes/pve1/qemu-server"),
    item("nodes/pve1/lxc"),
    item("nodes/pve2"),
    item("nodes/pve2/qemu-server"),
    item(GUEST, "name: web\n"),
    item("storage.cfg", "dir: local\n"),
    item("ha"),
    ...extra,
  ]);
  if (problem !== undefined) throw new Error(problem);
  return file;
}

/** Versions that a client sees: of one observed path, of the guest list, of the guest. */
export function seen(backend: Backend, path: string, vmid = 100) {
  backend.refresh();
  const list = JSON.parse(textOf(backend.guests.list())) as {
    version: number;
    ids?: Record<string, { version: number; node: string }>;
  };
  const { versions } = backend;
  return [versions.of(path), list.version, list.ids?.[vmid]?.version];
}

/** The same as a directory. */
export function plant(directory: TempDirectory): void {
  for (const node of ["pve1", "pve2"]) {
    mkdirSync(directory.at("nodes", node, "qemu-server"), { recursive: true });
  }
  mkdirSync(directory.at("priv", "lock"), { recursive: true });
  directory.put(GUEST, "name: web\n");
  directory.put("storage.cfg", "dir: local\n");
  // Old enough not to count as changed in the present tick of the clock.
  for (const name of [GUEST, "storage.cfg"]) utimesSync(directory.at(name), 1_700_000_000, 1e9);
}

/** A second writer of a config.db that sets versions as pmxcfs does. */
export class Writer implements Disposable {
  readonly database: Database;

  constructor(file: string) {
    this.database = new Database(file);
    this.database.run("PRAGMA journal_mode = WAL");
    this.database.run("PRAGMA synchronous = NORMAL");
  }

  get version(): number {
    const row = this.database.query("SELECT version FROM tree WHERE inode = 0").values()[0];
    return Number(row?.[0] ?? 0);
  }

  inode(path: string): number {
    let at = 0;
    for (const name of path.split("/")) {
      const found = this.database
        .query("SELECT inode FROM tree WHERE parent = ? AND name = ? AND inode <> 0")
        .values(at, name)[0];
      if (found === undefined) throw new Error(`no ${path}`);
      at = Number(found[0]);
    }
    return at;
  }

  has(path: string): boolean {
    try {
      return this.inode(path) > 0;
    } catch {
      return false;
    }
  }

  /** One change in one transaction: `change` gets the new version, and so does row 0. */
  commit(change: (version: number, now: number) => void, mtime?: number): number {
    const version = this.version + 1;
    const now = mtime ?? Math.floor(Date.now() / 1000);
    this.database.transaction(() => {
      change(version, now);
      this.database.run("UPDATE tree SET version = ?, mtime = ? WHERE inode = 0", [version, now]);
    })();
    return version;
  }

  create(path: string, type: 8 | 4 = 8): void {
    const names = path.split("/");
    const parent = names.length === 1 ? 0 : this.inode(names.slice(0, -1).join("/"));
    this.commit((version, now) => {
      this.database.run("REPLACE INTO tree VALUES (?, ?, ?, 0, ?, ?, ?, NULL)", [
        version,
        parent,
        version,
        now,
        type,
        names.at(-1) ?? "",
      ]);
    });
  }

  write(path: string, content: string): void {
    const inode = this.inode(path);
    const data = content === "" ? null : Buffer.from(content);
    this.commit((version, now) => {
      const values = [data, version, now, inode];
      this.database.run("UPDATE tree SET data = ?, version = ?, mtime = ? WHERE inode = ?", values);
    });
  }

  utime(path: string, mtime: number): void {
    const inode = this.inode(path);
    this.commit((version) => {
      this.database.run("UPDATE tree SET version = ?, mtime = ? WHERE inode = ?", [
        version,
        mtime,
        inode,
      ]);
    }, mtime);
  }

  remove(path: string): void {
    const inode = this.inode(path);
    this.commit(() => this.database.run("DELETE FROM tree WHERE inode = ?", [inode]));
  }

  rename(from: string, to: string): void {
    const inode = this.inode(from);
    const names = to.split("/");
    const name = names.at(-1) ?? "";
    const parent = names.length === 1 ? 0 : this.inode(names.slice(0, -1).join("/"));
    this.commit((version, now) => {
      this.database.run("DELETE FROM tree WHERE parent = ? AND name = ? AND inode <> 0", [
        parent,
        name,
      ]);
      this.database.run(
        "UPDATE tree SET parent = ?, name = ?, version = ?, mtime = ? WHERE inode = ?",
        [parent, name, version, now, inode],
      );
    });
  }

  [Symbol.dispose](): void {
    this.database.close();
  }
}
