/**
 * Writes a salvaged tree into an empty directory. Every step is taken from an open directory and
 * nothing that exists is opened or replaced, so nothing is written anywhere else; files are made
 * 0600 and get the mode of the mount when they are complete.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  futimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  writeSync,
} from "node:fs";
import { mountMode } from "../store/file-modes.ts";
import { inside, openRoot, withDirectory } from "../store/file-walk.ts";
import { errorText } from "../../base/error-text.ts";
import type { SalvagedItem } from "./salvage.ts";

const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const GROUP = "www-data";

export interface Exported {
  readonly files: number;
  readonly directories: number;
  /** What could not be written, and why. */
  readonly failures: readonly string[];
}

/** The group of the mount, for root alone; undefined leaves owner and group as they come. */
function mountGroup(): number | undefined {
  if (process.getuid?.() !== 0) return undefined;
  try {
    const line = readFileSync("/etc/group", "utf8")
      .split("\n")
      .find((each) => each.startsWith(`${GROUP}:`));
    const id = line?.split(":")[2];
    return id === undefined ? undefined : Number(id);
  } catch {
    return undefined;
  }
}

function finish(fd: number, item: SalvagedItem, group: number | undefined): void {
  if (group !== undefined) fchownSync(fd, 0, group);
  fchmodSync(fd, mountMode(item.path, item.kind));
  futimesSync(fd, item.row.mtime, item.row.mtime);
}

function writeFileIn(directory: number, item: SalvagedItem, group: number | undefined): void {
  const fd = openSync(inside(directory, item.path.at(-1) ?? ""), NEW_FILE, 0o600);
  try {
    const { data } = item.row;
    for (let at = 0; at < data.length;) at += writeSync(fd, data, at);
    finish(fd, item, group);
  } finally {
    closeSync(fd);
  }
}

/**
 * Writes the items into `target`, which is made when it is not there and must be empty. A text
 * that says why when nothing could be written.
 */
export function exportTree(items: readonly SalvagedItem[], target: string): Exported | string {
  let root: number;
  try {
    mkdirSync(target, { recursive: true });
    if (readdirSync(target).length > 0) return `${target} is not empty`;
    root = openRoot(target);
  } catch (error) {
    return errorText(error);
  }
  try {
    return writeItems(root, items);
  } finally {
    closeSync(root);
  }
}

function writeItems(root: number, items: readonly SalvagedItem[]): Exported {
  const group = mountGroup();
  const failures: string[] = [];
  const counts = { file: 0, directory: 0 };
  const made: SalvagedItem[] = [];
  const attempt = (names: readonly string[], write: (directory: number) => void): void => {
    try {
      withDirectory(root, names, write);
    } catch (error) {
      failures.push(errorText(error));
    }
  };
  for (const item of items) {
    attempt(item.path.slice(0, -1), (directory) => {
      if (item.kind === "file") writeFileIn(directory, item, group);
      else mkdirSync(inside(directory, item.path.at(-1) ?? ""), { mode: 0o700 });
      counts[item.kind]++;
      if (item.kind === "directory") made.push(item);
    });
  }
  // Directories last and the inner ones first: writing into one changes its time.
  for (const item of made.toReversed()) {
    attempt(item.path, (directory) => finish(directory, item, group));
  }
  return { files: counts.file, directories: counts.directory, failures };
}
