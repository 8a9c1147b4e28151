/**
 * Renames a node's directory through a mount that is served: file by file, because pmxcfs renames
 * only empty directories, and each guest's configuration exists exactly once at every moment. If a
 * crash interrupts it, the next run completes it.
 */
import { lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync } from "node:fs";
import { errorText } from "../../base/error-text.ts";
import { guestPath } from "../state/guests.ts";
import { isBadName } from "../store/tree-path.ts";
import { findMentions, isNodeName, type RenamedNode } from "./rename-node.ts";

/** The mode bit of `local` by which pmxcfs shows that changes are accepted. */
const QUORATE_BIT = 0o200;

/** A path as bytes: names may have any encoding. */
function join(directory: Buffer, name: Buffer | string): Buffer {
  return Buffer.concat([directory, Buffer.from("/"), Buffer.from(name)]);
}

function entriesOf(directory: Buffer): Buffer[] {
  return readdirSync(directory, { encoding: "buffer" });
}

function kindOf(path: Buffer): "directory" | "file" | "link" | undefined {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status === undefined) return undefined;
  if (status.isSymbolicLink()) return "link";
  return status.isDirectory() ? "directory" : "file";
}

/** A file that is in both directories; a person must decide which one to keep. */
function clashOf(from: Buffer, to: Buffer): string | undefined {
  for (const name of entriesOf(from)) {
    const [source, target] = [join(from, name), join(to, name)];
    const [own, other] = [kindOf(source), kindOf(target)];
    if (other === undefined) continue;
    if (own !== "directory" || other !== "directory") {
      return `${source.toString()} and ${target.toString()} both exist: remove one first`;
    }
    const below = clashOf(source, target);
    if (below !== undefined) return below;
  }
  return undefined;
}

interface Counts {
  entries: number;
  guests: number;
}

/** Moves the content of `from` into `to`, then removes `from`. `path`: of `from`, for guests. */
function moveInto(from: Buffer, to: Buffer, path: string, counts: Counts): void {
  if (kindOf(to) === undefined) mkdirSync(to);
  for (const name of entriesOf(from)) {
    const [source, target] = [join(from, name), join(to, name)];
    const below = `${path}/${name.toString("latin1")}`;
    if (kindOf(source) === "directory") {
      moveInto(source, target, below, counts);
      continue;
    }
    renameSync(source, target);
    counts.entries++;
    if (guestPath(below) !== undefined) counts.guests++;
  }
  rmdirSync(from);
  counts.entries++;
}

function* filesOf(directory: Buffer, path: string): Generator<{ path: string; data: Buffer }> {
  for (const name of entriesOf(directory)) {
    const full = join(directory, name);
    const text = name.toString("latin1");
    const below = path === "" ? text : `${path}/${text}`;
    const kind = kindOf(full);
    if (kind === "directory") yield* filesOf(full, below);
    else if (kind === "file") yield { path: below, data: readFileSync(full) };
  }
}

/** Renames nodes/OLD below the mount; a line says why not, or what interrupted it. */
export function renameMountedNode(mount: string, old: string, name: string): RenamedNode | string {
  if (!isNodeName(name)) return `"${name}" cannot be a node's name`;
  if (old === name) return "old and new name are the same";
  // Such a path would lead to another directory: nodes/. is the one with all nodes.
  if (isBadName(old) || old.includes("/")) return `there is no nodes/${old}`;
  const root = Buffer.from(mount);
  try {
    const local = lstatSync(join(root, "local"), { throwIfNoEntry: false });
    if (local?.isSymbolicLink() !== true) return "pmxcfs is not mounted there";
    if ((local.mode & QUORATE_BIT) === 0) return "no quorum: nothing can be changed now";
    const [from, to] = [join(root, `nodes/${old}`), join(root, `nodes/${name}`)];
    const counts: Counts = { entries: 0, guests: 0 };
    if (kindOf(from) === undefined) {
      if (kindOf(to) === undefined) return `there is no nodes/${old}`;
    } else {
      if (kindOf(from) !== "directory") return `nodes/${old} is a file`;
      const clash = kindOf(to) === undefined ? undefined : clashOf(from, to);
      if (clash !== undefined) return clash;
      moveInto(from, to, `nodes/${old}`, counts);
    }
    return { ...counts, mentions: findMentions(filesOf(root, ""), old), kept: undefined };
  } catch (error) {
    return `${errorText(error)}: run it again to continue`;
  }
}
