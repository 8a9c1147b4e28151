/** How to start this program again, as a child process or a thread. */
import { join } from "node:path";

/** Whether this is the compiled binary: Bun mounts its embedded files here. */
export const COMPILED = import.meta.dir.startsWith("/$bunfs/");

/** The first words of its command line: the binary, or Bun and the sources' entry. */
export function selfCommand(): readonly string[] {
  if (COMPILED) return [process.execPath];
  return [process.execPath, join(import.meta.dir, "..", "main.ts")];
}

/**
 * Where `new Worker` finds a file of ours: `source` is its URL in a checkout, `path` its path from
 * the top of the repository, under which a compiled binary carries it (build.ts lists these files).
 */
export function threadFile(source: URL, path: string): string {
  return COMPILED ? `/$bunfs/root/${path}` : source.href;
}

/** Becomes another user for good: no other groups, then gid, then uid. Throws if not root. */
export function becomeUser(uid: number, gid: number): void {
  process.setgroups?.([]);
  process.setgid?.(gid);
  process.setuid?.(uid);
}
