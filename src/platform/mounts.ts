/**
 * What is mounted in this process's namespace, from /proc/self/mountinfo (proc(5)). Reading it
 * sends no request to a mount, which matters when this process serves that mount.
 */
import { readFileSync, readlinkSync } from "node:fs";

export interface MountEntry {
  readonly id: number;
  /** Minor number of st_dev: of a FUSE mount, the name of its connection below /sys/fs/fuse. */
  readonly minor: number;
  /** Latin1, escapes undone. */
  readonly mountPoint: string;
  readonly type: string;
  readonly source: string;
  readonly readOnly: boolean;
}

function unescape(word: string): string {
  return word.replaceAll(/\\([0-7]{3})/g, (_all, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

/** The lines of a mountinfo file, in the order in which they were mounted. */
function parseMountInfo(text: string): MountEntry[] {
  return text.split("\n").flatMap((line) => {
    const words = line.split(" ");
    const dash = words.indexOf("-", 6);
    const [id, , device, , mountPoint, options] = words;
    if (dash < 0 || device === undefined || mountPoint === undefined) return [];
    return {
      id: Number(id),
      minor: Number(device.split(":")[1]),
      mountPoint: unescape(mountPoint),
      type: words[dash + 1] ?? "",
      source: unescape(words[dash + 2] ?? ""),
      readOnly: (options ?? "").split(",").includes("ro"),
    };
  });
}

/** What is mounted at exactly `path`, the visible one last; none where /proc cannot be read. */
export function mountsAt(path: string): MountEntry[] {
  try {
    const entries = parseMountInfo(readFileSync("/proc/self/mountinfo", "latin1"));
    return entries.filter(({ mountPoint }) => mountPoint === path);
  } catch {
    return [];
  }
}

/** True when `path` lies on or below `directory`. Both absolute and normal. */
export function isBelow(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === "/" ? "/" : `${directory}/`);
}

/** Whether this process sees other mounts than pid 1; false where that cannot be told. */
export function hasOwnMounts(): boolean {
  try {
    return readlinkSync("/proc/self/ns/mnt") !== readlinkSync("/proc/1/ns/mnt");
  } catch {
    return false;
  }
}
