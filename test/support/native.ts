/**
 * Builds the C programs of test/native on demand, once per content: executables are cached under
 * node_modules/.cache by a hash of the source, the headers beside it and the flags.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";

/** The repository this file stands in. */
export const REPOSITORY = join(import.meta.dir, "..", "..");

const SOURCES = join(REPOSITORY, "test", "native");
const SHIM = join(REPOSITORY, "native", "shim.c");
const CACHE = join(REPOSITORY, "node_modules", ".cache", "pmxcfs-ipc-native");
const FLAGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"];

/** Path of the executable of test/native/NAME.c, compiled when needed. Throws with the reason. */
export function native(name: string): string {
  const source = join(SOURCES, `${name}.c`);
  const executable = join(CACHE, `${name}-${contentHash(source)}`);
  if (existsSync(executable)) return executable;
  mkdirSync(CACHE, { recursive: true });
  // Several test files may build at once: each its own file, and the last rename wins.
  const unfinished = `${executable}.${process.pid}`;
  run([compiler(), ...FLAGS, source, "-o", unfinished, ...libqbFlags()], name);
  renameSync(unfinished, executable);
  return executable;
}

function contentHash(source: string): string {
  const hash = new Bun.CryptoHasher("sha256");
  hash.update(FLAGS.join(" "));
  const text = readFileSync(source, "utf8");
  hash.update(text);
  if (text.includes("native/shim.c")) hash.update(readFileSync(SHIM));
  for (const file of readdirSync(SOURCES).toSorted()) {
    if (file.endsWith(".h")) hash.update(readFileSync(join(SOURCES, file)));
  }
  return hash.digest("hex").slice(0, 16);
}

function compiler(): string {
  const found = Bun.which("cc") ?? Bun.which("gcc") ?? Bun.which("clang");
  if (found === null) throw new Error("no C compiler: apt-get install gcc libc6-dev");
  return found;
}

function libqbFlags(): string[] {
  const missing = new Error("no libqb headers: apt-get install libqb-dev pkg-config");
  if (Bun.which("pkg-config") === null) throw missing;
  const asked = Bun.spawnSync(["pkg-config", "--cflags", "--libs", "libqb"]);
  if (!asked.success) throw missing;
  return asked.stdout.toString().split(/\s+/u).filter(Boolean);
}

function run(command: string[], name: string): void {
  const done = Bun.spawnSync(command, { stdout: "pipe", stderr: "pipe" });
  if (!done.success) throw new Error(`test/native/${name}.c:\n${done.stderr.toString()}`);
}
