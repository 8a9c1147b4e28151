/**
 * Compiles the C programs of test/native when they are needed. Executables are cached below
 * node_modules/.cache, by a hash of the source, the headers and the flags.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";

/** The directory of the repository. */
export const REPOSITORY = join(import.meta.dir, "..", "..");

const SOURCES = join(REPOSITORY, "test", "native");
const SHIM = join(REPOSITORY, "native", "shim.c");
const CACHE = join(REPOSITORY, "node_modules", ".cache", "pmxcfs-ipc-native");
const FLAGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"];

/** Path of the executable of test/native/NAME.c. Throws if it cannot be compiled. */
export function native(name: string): string {
  const source = join(SOURCES, `${name}.c`);
  const executable = join(CACHE, `${name}-${contentHash(source)}`);
  if (existsSync(executable)) return executable;
  mkdirSync(CACHE, { recursive: true });
  // Several test files may compile at once, each to its own file.
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
  const flags = Bun.spawnSync(["pkg-config", "--cflags", "--libs", "libqb"]);
  if (!flags.success) throw missing;
  return flags.stdout.toString().split(/\s+/u).filter(Boolean);
}

function run(command: string[], name: string): void {
  const result = Bun.spawnSync(command, { stdout: "pipe", stderr: "pipe" });
  if (!result.success) throw new Error(`test/native/${name}.c:\n${result.stderr.toString()}`);
}
