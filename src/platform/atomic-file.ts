/**
 * Writes files into directories that other users may control: atomically, with the final mode, and
 * without path lookups that the owner of a directory on the path could redirect. The directory is
 * opened once, following no symlink, and all further operations use its descriptor.
 */
import { randomBytes } from "node:crypto";
import { lstatSync, realpathSync, writeSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { Errno, errnoName, errnoText } from "../base/errno.ts";
import { errorText } from "../base/error-text.ts";
import { closeDescriptor, Directory, latin1Name, setMode, syncFile } from "./files.ts";

/** `PATH: ENOENT: No such file or directory`. */
function failure(path: string, errno: number): string {
  return `${path}: ${errnoName(errno)}: ${errnoText(errno)}`;
}

/**
 * Opens the directory of `path`. Symlinks in `path` are resolved once, at the start, because the
 * caller chose the path; the result is then opened without following any.
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
    const bytes = latin1Name(name);
    const made = directory.makeSub(bytes);
    const sub = made === Errno.EEXIST ? directory.openSub(bytes) : made;
    // EEXIST: another process has made it meanwhile. Directories made here are open to all users.
    if (typeof made !== "number") setMode(made.fd, 0o755);
    directory[Symbol.dispose]();
    if (typeof sub === "number") return failure(join(parent, ...missing), sub);
    directory = sub;
  }
  return directory;
}

/**
 * A file that is written repeatedly, or removed later. Its directory is resolved once; at any later
 * step no component of that path may be a symlink.
 */
export class FilePlace {
  readonly #path: string;
  readonly #parent: string;
  readonly #name: string;

  private constructor(path: string, parent: string) {
    this.#path = path;
    this.#parent = parent;
    this.#name = basename(path);
  }

  /** For a path in an existing directory; a string says what failed. */
  static of(path: string): FilePlace | string {
    try {
      return new FilePlace(path, realpathSync(dirname(resolve(path))));
    } catch (error) {
      return errorText(error);
    }
  }

  #open(): Directory | string {
    const opened = Directory.openExact(this.#parent);
    return typeof opened === "number" ? failure(this.#parent, opened) : opened;
  }

  /**
   * Writes the content to a draft in the same directory, with the mode, and renames it to the file.
   * A string says what failed; then no draft is left. `sync` waits for the disk (fsync), which may
   * block for seconds: not for a server's event loop.
   */
  write(
    content: string | Uint8Array,
    mode: number,
    sync: "sync" | "no sync" = "sync",
  ): string | undefined {
    const parent = this.#open();
    if (typeof parent === "string") return parent;
    using directory = parent;
    const name = this.#name;
    // A device, a pipe, or a link like /dev/stdout must not be replaced by a file.
    const there = lstatSync(`/proc/self/fd/${directory.fd}/${name}`, { throwIfNoEntry: false });
    if (there?.isFile() === false) return `${this.#path}: it exists and is not a regular file`;
    const target = latin1Name(name);
    const draft = `.${target}.${process.pid}.${randomBytes(4).toString("hex")}.tmp`;
    const fd = directory.newFile(draft);
    if (fd < 0) return failure(this.#path, fd);
    const bytes = typeof content === "string" ? Buffer.from(content) : content;
    let problem: string | undefined;
    try {
      for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
      const failed =
        setMode(fd, mode) ||
        (sync === "sync" ? syncFile(fd) : 0) ||
        directory.rename(draft, target);
      if (failed < 0) problem = failure(this.#path, failed);
    } catch (error) {
      problem = errorText(error);
    } finally {
      closeDescriptor(fd);
    }
    if (problem !== undefined) directory.unlink(draft);
    return problem;
  }

  /** Removes the file, if there is one; a string says what failed. */
  remove(): string | undefined {
    const parent = this.#open();
    if (typeof parent === "string") return parent;
    using directory = parent;
    const failed = directory.unlink(latin1Name(this.#name));
    return failed === 0 || failed === Errno.ENOENT ? undefined : failure(this.#path, failed);
  }
}

/** Writes a file once; as `FilePlace.write`. */
export function writeFileAtomically(
  path: string,
  content: string | Uint8Array,
  mode: number,
): string | undefined {
  const place = FilePlace.of(path);
  return typeof place === "string" ? place : place.write(content, mode);
}
