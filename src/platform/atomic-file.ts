/**
 * Files in directories that are not ours: written whole or not at all, under their final mode,
 * without a step by path that somebody who owns a directory on the way could lead elsewhere. The
 * directory is opened once, no component of its path may be a symlink by then, and everything
 * else goes through its descriptor.
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
 * The directory that `path` is in. Symlinks of the path as it is given are followed once, at the
 * start (it is the caller's word); the result is then opened without following any.
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
    // Others may have made it meanwhile; what we make ourselves can be entered by all.
    if (typeof made !== "number") setMode(made.fd, 0o755);
    directory[Symbol.dispose]();
    if (typeof sub === "number") return failure(join(parent, ...missing), sub);
    directory = sub;
  }
  return directory;
}

/**
 * Puts a file with this content and mode under `path`: a draft beside it, then a rename, both in
 * the opened directory. Undefined, or a line that says what failed; then nothing is left behind.
 */
export function writeFileAtomically(
  path: string,
  content: string | Uint8Array,
  mode: number,
): string | undefined {
  const parent = openParent(path);
  if (typeof parent === "string") return parent;
  using directory = parent;
  // A device, a pipe, a link like /dev/stdout: nothing to put a file in the place of.
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
