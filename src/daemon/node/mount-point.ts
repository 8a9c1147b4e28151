/**
 * The mount point: made if missing, freed of a dead server's mount, refused when it is in use.
 * statfs shows whether a mount is dead, because FUSE never answers it from a cache.
 */
import { within } from "../../base/within.ts";
import { mkdirSync, readdirSync, statSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { errorCode, errorText } from "../../base/error-text.ts";
import { Errno, errnoText } from "../../base/errno.ts";
import type { Log } from "../../base/log.ts";
import { detachMount } from "../../platform/fuse-device.ts";
import { mountsAt } from "../../platform/mounts.ts";

const MODE = 0o750;
/** Most stacked mounts that are removed. */
const MOST_MOUNTS = 64;
/** How long to wait for statfs. A server that does not answer hangs, but does not count as dead. */
const ANSWER_MS = 5000;

/** Whether the server of the mount at `path` is gone. statfs may hang, so a thread calls it. */
async function isDead(path: string): Promise<boolean> {
  const asked = statfs(path).then(
    () => false,
    (error: unknown) => ["ENOTCONN", "ECONNABORTED"].includes(errorCode(error) ?? ""),
  );
  return (await within(asked, ANSWER_MS)) ?? false;
}

/**
 * Detaches dead FUSE mounts at `path`, also with processes inside. A string says why that failed,
 * or that a mount is alive.
 */
export async function clearDeadMounts(path: string, log: Log): Promise<string | undefined> {
  for (let count = 0; count < MOST_MOUNTS; count++) {
    const top = mountsAt(path).at(-1);
    if (top === undefined || !top.type.startsWith("fuse")) return undefined;
    if (!(await isDead(path))) {
      return (
        `${path} is already mounted by a process that does not use our database: ` +
        `stop that process first (fuser -vm ${path} and cat /proc/mounts show more)`
      );
    }
    const result = detachMount(path);
    if (result < 0) return `${path}: a dead mount cannot be removed: ${errnoText(result)}`;
    log.warn(`${path}: removed the mount of a server that ended without unmounting it`);
  }
  return `${path}: more than ${MOST_MOUNTS} dead mounts on top of each other`;
}

/** Makes `path` if it is missing; a string says why it cannot be mounted on. */
export function prepareMountPoint(path: string): string | undefined {
  try {
    mkdirSync(path, { mode: MODE });
  } catch (error) {
    if (errorCode(error) !== "EEXIST") return `cannot make ${path}: ${errorText(error)}`;
  }
  try {
    if (!statSync(path).isDirectory()) return `fuse_mount error: ${errnoText(Errno.ENOTDIR)}`;
    // A mount would hide the files in the directory.
    if (readdirSync(path).length > 0) return NOT_EMPTY;
    return undefined;
  } catch (error) {
    return `cannot read ${path}: ${errorText(error)}`;
  }
}

const NOT_EMPTY = `mountpoint is not empty\nfuse_mount error: ${errnoText(Errno.EEXIST)}`;
