/**
 * Writes files into directories that others may control: atomically, with the final mode, and
 * without path lookups that the owner of a directory on the path could redirect. The directory is
 * opened once, with no symlink in any component, and everything else uses its descriptor.
 */
import { randomBytes } from "node:crypto";
import { lstatSync, realpathSync, writeSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { Errno, errnoName, errnoText } from "../base/errno.ts";
import { errorText } from "../base/error-text.ts";
import { closeDescriptor, Directory, setMode, syncFile } from "./files.ts";

/** `ENOENT: No such file or directory`, of a path. */
function failure(path: string, errno: number): string {
  return `${path}: ${errnoName(errno)}: ${errnoText(errno)}`;
}

/**
 * Opens the directory that `path` is in. Symlinks in the given path are resolved once, at the start
 * (the caller chose the path); the result is then opened without following any.
 */
export function openParent(
  path: string,
  options: { readonly makeMissing?: boolean } = {},
): Directory | string {
  let parent = dirname(resolve(path));
  const missing: string[] = [];
  for (;;) {
    try {
      parent = realpathSync(parent);
      break;
    } catch (error) {
      const isMissing = error instanceof Error && "code" in error && error.code === "ENOENT";
      if (!isMissing || options.makeMissing !== true || parent === "/") return errorText(error);
      missing.unshift(basename(parent));
      parent = dirname(parent);
    }
  }
  const opened = Directory.openExact(parent);
  if (typeof opened === "number") return failure(parent, opened);
  let directory = opened;
  for (const name of missing) {
    const made = directory.makeSub(name);
    const sub = made === Errno.EEXIST ? directory.openSub(name) : made;
    // EEXIST: another process has made it meanwhile. Those made here everybody may enter.
    if (typeof made !== "number") setMode(made.fd, 0o755);
    directory[Symbol.dispose]();
    if (typeof sub === "number") return failure(join(parent, ...missing), sub);
    directory = sub;
  }
  return directory;
}

/**
 * Writes `path` with this content and mode: a temporary file beside it, then a rename, both in the
 * opened directory. Undefined, or a line that says what failed; no temporary file is left then.
 */
export function writeFileAtomically(
  path: string,
  content: string | Uint8Array,
  mode: number,
): string | undefined {
  const parent = openParent(path);
  if (typeof parent === "string") return parent;
  using directory = parent;
  // A device, a pipe or a symlink like /dev/stdout must not be replaced by a file.
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there !== undefined && !there.isFile()) return `${path}: it is there and is no regular file`;
  const name = basename(path);
  const draft = `.${name}.${process.pid}.${randomBytes(4).toString("hex")}.tmp`;
  const fd = directory.newFile(draft);
  if (fd < 0) return failure(path, fd);
  const bytes = typeof content === "string" ? Buffer.from(content) : content;
  let problem: string | undefined;
  try {
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
    const failed = setMode(fd, mode) || syncFile(fd) || directory.rename(draft, name);
    if (failed < 0) problem = failure(path, failed);
  } catch (error) {
    problem = errorText(error);
  } finally {
    closeDescriptor(fd);
  }
  if (problem !== undefined) directory.unlink(draft);
  return problem;
}
