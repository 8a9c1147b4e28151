/**
 * `bun build.ts` makes dist/: the C parts (dist/shim.so, dist/compat-client.elf) and the program
 * (dist/pmxcfs-ipc), one file that needs only glibc. `--shim` makes only the C parts, which a
 * checkout needs for tests and `bun src/main.ts`. Builds are reproducible: the same sources and
 * compiler give the same bytes.
 */
import { mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { version } from "./package.json";

const ROOT = import.meta.dir;

/** Files that run in their own threads; the program finds them by these paths. */
const THREADS = [
  "src/pmxcfs/history/history-worker.ts",
  "src/pmxcfs/store/checkpoint-worker.ts",
  "src/pmxcfs/store/copy-worker.ts",
  "src/pmxcfs/store/transaction-worker.ts",
];

/** `file-prefix-map` and no build id make the bytes independent of the checkout's directory. */
const COMPILER_FLAGS = [
  ..."-std=gnu11 -O2 -Wall -Wextra -Werror -s".split(" "),
  `-ffile-prefix-map=${ROOT}=.`,
  "-Wl,--build-id=none",
];

/** A build for one machine type. */
export interface Target {
  readonly compiler: string;
  /** Packages with the compiler, for the message when it is missing. */
  readonly compilerPackages: string;
  /** Bun's name of the runtime to embed. */
  readonly runtime: Bun.Build.CompileTarget | undefined;
  /** Directory for shim.so and pmxcfs-ipc; relative to the root of the repository. */
  readonly directory: string;
}

/** The build for this host. */
export const NATIVE: Target = {
  compiler: process.env["CC"] ?? "cc",
  compilerPackages: "gcc libc6-dev",
  runtime: undefined,
  directory: "dist",
};

/** The reason why a part cannot be built, for the user. */
export class BuildFailure extends Error {}

function modified(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** A C file that is compiled and embedded. */
interface NativePart {
  readonly source: string;
  /** In the target's directory. */
  readonly output: string;
  readonly flags: readonly string[];
}

const SHIM: NativePart = {
  source: "native/shim.c",
  output: "shim.so",
  flags: ["-fvisibility=hidden", "-fPIC", "-shared"],
};

/** The C client of `compat`, a program. */
const CLIENT: NativePart = {
  source: "native/compat-client.c",
  output: "compat-client.elf",
  flags: ["-fPIE", "-pie"],
};

/** Compiles a part unless it is newer than its source; returns its path. */
function compile(target: Target, { source, output, flags }: NativePart): string {
  const made = join(resolve(ROOT, target.directory), output);
  if (modified(made) > Math.max(modified(join(ROOT, source)), modified(import.meta.path))) {
    return made;
  }
  if (Bun.which(target.compiler) === null) {
    const packages = target.compilerPackages;
    throw new BuildFailure(`no C compiler (${target.compiler}): apt-get install ${packages}`);
  }
  mkdirSync(resolve(ROOT, target.directory), { recursive: true });
  // Renamed when complete: a build at the same time must not use an incomplete file.
  const draft = `${made}.${process.pid}`;
  const words = [target.compiler, ...COMPILER_FLAGS, ...flags, "-o", draft, source, "-ldl"];
  const { exitCode, stderr } = Bun.spawnSync(words, { cwd: ROOT, stderr: "pipe" });
  if (exitCode !== 0) {
    rmSync(draft, { force: true });
    throw new BuildFailure(`${target.compiler} failed on ${source}:\n${stderr.toString()}`);
  }
  renameSync(draft, made);
  return made;
}

/** Compiles the C parts that are out of date; returns the shim's path. */
export function buildShim(target: Target): string {
  compile(target, CLIENT);
  return compile(target, SHIM);
}

/** The output of git for `words`, trimmed; undefined if git fails or is not installed. */
export function git(...words: string[]): string | undefined {
  if (Bun.which("git") === null) return undefined;
  const { exitCode, stdout } = Bun.spawnSync(["git", ...words], { cwd: ROOT, stderr: "ignore" });
  return exitCode === 0 ? stdout.toString().trim() : undefined;
}

/** The commit of this checkout, with `+changes` if files differ; `unknown` outside a checkout. */
export function revision(): string {
  const top = git("rev-parse", "--show-prefix");
  const commit = git("rev-parse", "--short=12", "HEAD");
  if (top !== "" || commit === undefined) return "unknown";
  const changes = git("status", "--porcelain", "--untracked-files=no") ?? "";
  return changes === "" ? commit : `${commit}+changes`;
}

/** The files in a bundle and their imports; paths are relative to the working directory. */
export type BundleInputs = Bun.BuildMetafile["inputs"];

export interface Built {
  readonly program: string;
  readonly inputs: BundleInputs;
}

/** Bundles src/main.ts with the shim and Bun's runtime. */
export async function buildBinary(
  target: Target,
  shim: string,
  commit = revision(),
): Promise<Built> {
  const out = join(resolve(ROOT, target.directory), "pmxcfs-ipc");
  // The file's name becomes part of its bytes, so the draft has the same name in another directory.
  // It is renamed when complete, so that a running program keeps its file.
  const drafts = join(resolve(ROOT, target.directory), `.build-${process.pid}`);
  const draft = join(drafts, "pmxcfs-ipc");
  mkdirSync(drafts, { recursive: true });
  try {
    const result = await Bun.build({
      entrypoints: [join(ROOT, "src/main.ts"), ...THREADS.map((path) => join(ROOT, path))],
      root: ROOT,
      format: "esm",
      minify: true,
      bytecode: true,
      metafile: true,
      define: {
        PMXCFS_IPC_VERSION: JSON.stringify(version),
        PMXCFS_IPC_REVISION: JSON.stringify(commit),
      },
      plugins: [{ name: "shim", setup: (build) => embedShim(build, shim) }],
      compile: {
        outfile: draft,
        ...(target.runtime === undefined ? {} : { target: target.runtime }),
        // The program must not read files of the directory it is started in.
        autoloadBunfig: false,
        autoloadDotenv: false,
        autoloadTsconfig: false,
        autoloadPackageJson: false,
      },
      throw: false,
    });
    if (!result.success) throw new BuildFailure(result.logs.map(String).join("\n"));
    renameSync(draft, out);
    return { program: out, inputs: result.metafile?.inputs ?? {} };
  } finally {
    rmSync(drafts, { recursive: true, force: true });
  }
}

/** Replaces the shim's path in the sources by the path of this target's shim. */
function embedShim(build: Bun.PluginBuilder, shim: string): void {
  build.onResolve({ filter: /\/shim\.so$/ }, () => ({ path: shim }));
  const client = join(dirname(shim), CLIENT.output);
  build.onResolve({ filter: /\/compat-client\.elf$/ }, () => ({ path: client }));
}

async function main(words: readonly string[]): Promise<number> {
  const [word] = words;
  if (words.length > 1 || (word !== undefined && word !== "--shim")) {
    console.error(`build: unknown argument "${words.join(" ")}": bun build.ts [--shim]`);
    return 2;
  }
  try {
    const shim = buildShim(NATIVE);
    const made = word === "--shim" ? shim : (await buildBinary(NATIVE, shim)).program;
    console.log(`built ${relative(ROOT, made)}, ${statSync(made).size} bytes`);
    return 0;
  } catch (error) {
    if (!(error instanceof BuildFailure)) throw error;
    console.error(`build: ${error.message}`);
    return 1;
  }
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
