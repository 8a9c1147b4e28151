/**
 * A simple model of the writable tree: a map from paths to entries and the rules of the mount,
 * written independently of the store. Also makes random commands.
 */
import { expect } from "bun:test";
import fc from "fast-check";
import { errnoName } from "../../src/base/errno.ts";
import { withoutPhantoms } from "../../src/pmxcfs/replication/local.ts";
import type { TreeCommand } from "../../src/pmxcfs/state/tree-command.ts";
import type { TreeStore } from "../../src/pmxcfs/store/tree-store.ts";

const GUEST = /^nodes\/[a-z0-9]+\/(qemu-server|lxc|openvz)\/([1-9]\d*)\.conf$/;
const MAX_BYTES = 1024 * 1024;

interface ModelEntry {
  inode: number;
  kind: "file" | "directory";
  bytes: Buffer;
  version: number;
  writer: number;
  mtime: number;
  /** typeof(data) of the row. */
  stored: "null" | "blob";
}

const above = (path: string): string => path.split("/").slice(0, -1).join("/");
const vmidOf = (path: string): string | undefined => GUEST.exec(path)?.[2];

export class TreeModel {
  readonly entries = new Map<string, ModelEntry>();
  version = 1;
  writer = 0;
  mtime = 0;

  apply(command: TreeCommand, writer: number, time: number): string | number {
    const outcome = this.#try(command, writer, time);
    if (typeof outcome === "string") return outcome;
    this.version++;
    this.writer = writer;
    this.mtime = command.kind === "utime" ? command.mtime : time;
    return command.kind === "write" ? command.data.length : 0;
  }

  #try(command: TreeCommand, writer: number, time: number): string | undefined {
    const { path } = command;
    const stamp = { version: this.version + 1, writer, mtime: time };
    if (command.kind === "rename") return this.#rename(path, command.to, stamp);
    if (command.kind === "write" && command.offset + command.data.length > MAX_BYTES) {
      return "EFBIG";
    }
    if (command.kind === "truncate" && command.size > MAX_BYTES) return "EFBIG";
    const entry = this.entries.get(path);
    if (command.kind === "utime") {
      if (entry === undefined) return "ENOENT";
      const isLock = entry.kind === "directory" && above(path) === "priv/lock";
      if (isLock && (command.mtime < entry.mtime || writer !== entry.writer)) return "EACCES";
      Object.assign(entry, stamp, { mtime: command.mtime });
      if (entry.kind === "directory") entry.stored = "blob";
      return undefined;
    }
    const problem = this.#parentProblem(path);
    if (problem !== undefined) return problem;
    if (command.kind === "remove") return this.#remove(path);
    if (command.kind !== "mkdir" && this.#taken(path)) return "EEXIST";
    if (command.kind === "mkdir" || command.kind === "create") {
      if (command.kind === "create" && entry?.kind === "directory") return "ENOTDIR";
      if (entry !== undefined) return "EEXIST";
      const kind = command.kind === "mkdir" ? "directory" : "file";
      const bytes = Buffer.alloc(0);
      this.entries.set(path, { ...stamp, inode: stamp.version, kind, bytes, stored: "null" });
      return undefined;
    }
    if (entry?.kind === "directory") return "ENOTDIR";
    if (entry === undefined) return "ENOENT";
    if (command.kind === "write") {
      const length = Math.max(entry.bytes.length, command.offset + command.data.length);
      const bytes = Buffer.alloc(length);
      entry.bytes.copy(bytes);
      bytes.set(command.data, command.offset);
      entry.bytes = bytes;
    } else {
      const bytes = Buffer.alloc(command.kind === "truncate" ? command.size : 0);
      entry.bytes.copy(bytes);
      entry.bytes = bytes;
    }
    Object.assign(entry, stamp, { stored: entry.bytes.length === 0 ? "null" : "blob" });
    return undefined;
  }

  #parentProblem(path: string): string | undefined {
    let at = "";
    for (const name of path.split("/").slice(0, -1)) {
      at = at === "" ? name : `${at}/${name}`;
      const entry = this.entries.get(at);
      if (entry === undefined) return "ENOENT";
      if (entry.kind === "file") return "ENOTDIR";
    }
    return undefined;
  }

  #taken(path: string): boolean {
    const vmid = vmidOf(path);
    if (vmid === undefined) return false;
    return [...this.entries].some(
      ([other, { kind }]) => other !== path && kind === "file" && vmidOf(other) === vmid,
    );
  }

  #isFull(path: string): boolean {
    return [...this.entries.keys()].some((other) => other.startsWith(`${path}/`));
  }

  #remove(path: string): string | undefined {
    if (!this.entries.has(path)) return "ENOENT";
    if (this.#isFull(path)) return "ENOTEMPTY";
    this.entries.delete(path);
    return undefined;
  }

  #rename(from: string, to: string, stamp: Partial<ModelEntry>): string | undefined {
    const entry = this.entries.get(from);
    if (entry === undefined) return "ENOENT";
    const moves = vmidOf(from) === vmidOf(to);
    if (entry.kind === "file" && this.#taken(to) && !moves) return "EEXIST";
    if (entry.kind === "directory" && from.startsWith("priv/lock/")) return "EACCES";
    if (this.#isFull(from) || this.#isFull(to)) return "ENOTEMPTY";
    const problem = this.#parentProblem(to);
    if (problem !== undefined) return problem;
    if (`${to}/`.startsWith(`${from}/`) && from !== to) return "EINVAL";
    this.entries.delete(from);
    this.entries.set(to, Object.assign(entry, stamp));
    if (entry.kind === "directory") entry.stored = "blob";
    return undefined;
  }

  /** Rows of config.db in the order of inodes: all columns, data as text, and its type. */
  rows(): unknown[][] {
    const rows: unknown[][] = [
      [0, 0, this.version, this.writer, this.mtime, 8, "__version__", "", "null"],
    ];
    for (const [path, entry] of this.entries) {
      const parent = this.entries.get(above(path))?.inode ?? 0;
      const type = entry.kind === "file" ? 8 : 4;
      const name = path.split("/").at(-1);
      const { inode, version, writer, mtime, bytes, stored } = entry;
      rows.push([inode, parent, version, writer, mtime, type, name, bytes.toString("hex"), stored]);
    }
    return rows.toSorted((a, b) => Number(a[0]) - Number(b[0]));
  }
}

const words = (text: string): string[] => text.split(" ");
const DIRECTORIES = words(
  "a a/b priv priv/lock priv/lock/l1 priv/lock/l1/in priv/lock/l2 nodes nodes/n1 nodes/n2 " +
    "nodes/n1/qemu-server nodes/n1/lxc nodes/n2/lxc",
);
const FILES = words(
  "f a/f a/b/f a/b/caf\xe9 storage.cfg priv/lock/file nodes/n1/qemu-server/100.conf " +
    "nodes/n1/lxc/100.conf nodes/n2/lxc/100.conf nodes/n1/lxc/101.conf nodes/n2/lxc/100.conf.tmp",
);

const directory = fc.constantFrom(...DIRECTORIES);
const file = fc.constantFrom(...FILES);
/** A path that in most cases is where such an entry belongs. */
const fileLike = fc.oneof({ weight: 6, arbitrary: file }, { weight: 1, arbitrary: directory });
const directoryLike = fc.oneof({ weight: 9, arbitrary: directory }, { weight: 1, arbitrary: file });
const either = fc.oneof(file, directory);
const size = fc.oneof(
  { weight: 12, arbitrary: fc.nat(300) },
  { weight: 1, arbitrary: fc.integer({ min: MAX_BYTES - 2, max: MAX_BYTES + 2 }) },
);

/**
 * The node that a random command comes from. Renames come from writer 0: with another writer a
 * failed one removes the target, as in C (src/pmxcfs/store/orphan-rows.ts), which the model lacks.
 */
export function writerOf(command: TreeCommand, drawn: number): number {
  return command.kind === "rename" ? 0 : drawn;
}

/** Applies a random command to both: they give the same answer. Returns what was applied. */
export function applyToBoth(
  tree: TreeStore,
  model: TreeModel,
  [given, drawn, tick]: readonly [TreeCommand, number, number, ...unknown[]],
): TreeCommand {
  const writer = writerOf(given, drawn);
  const command = withoutPhantoms(tree.memdb, given);
  const time = 1000 + tick;
  const answer = tree.apply(command, { writer, time });
  const named = answer < 0 ? errnoName(answer) : answer;
  expect([command, named]).toEqual([command, model.apply(command, writer, time)]);
  return command;
}

/** One random command. */
export const anyCommand: fc.Arbitrary<TreeCommand> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("mkdir" as const), path: directoryLike }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("create" as const), path: fileLike }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("write" as const),
      path: fileLike,
      offset: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, size),
      data: fc.uint8Array({ maxLength: 40 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("truncate" as const), path: fileLike, size }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("remove" as const), path: either }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("rename" as const), path: either, to: either }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("utime" as const),
      path: either,
      mtime: fc.oneof(fc.constantFrom(0, 5, 0xffff_ffff), fc.nat(3000)),
    }),
  },
);
