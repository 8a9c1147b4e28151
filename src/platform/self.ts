/** Starting this program again, as a child process or a thread. */
import { join } from "node:path";

/** Whether this is the compiled binary, whose embedded files Bun shows below this path. */
export const COMPILED = import.meta.dir.startsWith("/$bunfs/");

/** The first words of a command line: the binary, or Bun and main.ts. */
export function selfCommand(): readonly string[] {
  if (COMPILED) return [process.execPath];
  return [process.execPath, join(import.meta.dir, "..", "main.ts")];
}

/**
 * The address of one of our files for `new Worker`: `source` is its URL in a checkout, `path` its
 * path in the repository, under which the compiled binary embeds it (build.ts lists these files).
 */
export function threadFile(source: URL, path: string): string {
  return COMPILED ? `/$bunfs/root/${path}` : source.href;
}

/** Changes to another user permanently: clears groups, sets gid, then uid. Throws if not root. */
export function becomeUser(uid: number, gid: number): void {
  process.setgroups?.([]);
  process.setgid?.(gid);
  process.setuid?.(uid);
}
