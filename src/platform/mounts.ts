/**
 * The mounts in this process's namespace, from /proc/self/mountinfo (proc(5)). Reading it sends no
 * request to a mount, which would deadlock if this process serves that mount.
 */
import { readFileSync, readlinkSync, realpathSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { latin1Name } from "./files.ts";

export interface MountEntry {
  readonly id: number;
  /** Minor number of st_dev; for FUSE, the connection's name in /sys/fs/fuse/connections. */
  readonly minor: number;
  /** Latin1, one character per byte, without escapes. */
  readonly mountPoint: string;
  readonly type: string;
  readonly source: string;
  readonly readOnly: boolean;
}

/** A word of mountinfo without its octal escapes: `\040` is a space. */
export function unescapeMount(word: string): string {
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
      mountPoint: unescapeMount(mountPoint),
      type: words[dash + 1] ?? "",
      source: unescapeMount(words[dash + 2] ?? ""),
      readOnly: (options ?? "").split(",").includes("ro"),
    };
  });
}

/** As many links as the kernel follows in one path (MAXSYMLINKS). */
const MOST_LINKS = 40;

/**
 * `path` without symlinks, as mountinfo has it. The last name is only read as a link, which a mount
 * there is not asked for; realpath(3) of all of it would send a request to its server.
 */
function withoutLinks(path: string): string {
  let place = path;
  try {
    for (let links = 0; links < MOST_LINKS; links++) {
      const directory = realpathSync(dirname(place));
      place = join(directory, basename(place));
      place = resolve(directory, readlinkSync(place));
    }
  } catch {
    // EINVAL: no link; ENOENT: not there.
  }
  return place;
}

/** The mounts at `path`, links followed, the visible one last; none if /proc cannot be read. */
export function mountsAt(path: string): MountEntry[] {
  try {
    const entries = parseMountInfo(readFileSync("/proc/self/mountinfo", "latin1"));
    const bytes = latin1Name(withoutLinks(path));
    return entries.filter(({ mountPoint }) => mountPoint === bytes);
  } catch {
    return [];
  }
}

/** True when `path` is `directory` or below it. Both are absolute and normalized. */
export function isBelow(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === "/" ? "/" : `${directory}/`);
}

/** Whether this process's mount namespace is not that of pid 1; false if that is unknown. */
export function hasOwnMounts(): boolean {
  try {
    return readlinkSync("/proc/self/ns/mnt") !== readlinkSync("/proc/1/ns/mnt");
  } catch {
    return false;
  }
}
