/**
 * `bun packaging/library.ts` makes lib/, the library as other projects install it: one bundle for
 * Bun, its declarations, the shim of each architecture, and its own package.json without
 * dependencies. `npm pack` runs it first; `bun add file:.../lib` installs the directory.
 */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BuildFailure, buildShim, revision } from "../build.ts";
import manifest from "../package.json";
import { ARCHITECTURES, toolchainOf } from "./make.ts";

const ROOT = join(import.meta.dir, "..");
const LIBRARY = join(ROOT, "lib");

/** process.arch of Debian's architectures. */
const NODE_NAMES: Readonly<Record<string, string>> = { amd64: "x64", arm64: "arm64" };

/** Code that finds the shim beside the bundle; if there is none, its error says how to build it. */
const SHIM_MODULE = `
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
const here = fileURLToPath(new URL(".", import.meta.url));
const shim = here + "shim-" + process.arch + ".so";
if (!existsSync(shim)) {
  throw new Error("pmxcfs-ipc has no shim for " + process.arch + ": make it with " +
    "cc -std=gnu11 -O2 -fvisibility=hidden -fPIC -shared -o " + shim + " " + here + "shim.c");
}
export default shim;
`;

/** The module for Node.js: it exports the same names, so that imports link, and prints one line. */
function nodeModule(names: readonly string[]): string {
  const line = "pmxcfs-ipc needs Bun (https://bun.sh): start this program with bun, not with node";
  return [
    "// For Node.js, which has no bun:ffi.",
    `process.stderr.write(${JSON.stringify(`${line}\n`)});`,
    "process.exit(1);",
    "const none = undefined;",
    `export { ${names.map((name) => `none as ${name}`).join(", ")} };`,
    "",
  ].join("\n");
}

async function bundle(): Promise<void> {
  const result = await Bun.build({
    entrypoints: [join(ROOT, "src/index.ts")],
    outdir: LIBRARY,
    target: "bun",
    format: "esm",
    define: {
      PMXCFS_IPC_VERSION: JSON.stringify(manifest.version),
      PMXCFS_IPC_REVISION: JSON.stringify(revision()),
    },
    plugins: [
      {
        name: "shim",
        setup(build) {
          build.onResolve({ filter: /\/shim\.so$/ }, () => ({ path: "shim", namespace: "shim" }));
          build.onLoad({ filter: /.*/, namespace: "shim" }, () => ({
            contents: SHIM_MODULE,
            loader: "js",
          }));
        },
      },
    ],
    throw: false,
  });
  if (!result.success) throw new BuildFailure(result.logs.map(String).join("\n"));
}

/** One .d.ts for each source; their imports name the .js file of the same path. */
function declarations(): void {
  const words = ["--declaration", "--emitDeclarationOnly", "--noEmit", "false"];
  const { exitCode, stdout } = Bun.spawnSync(
    ["tsc", "-p", "tsconfig.library.json", ...words, "--outDir", join(LIBRARY, "types")],
    {
      cwd: ROOT,
      env: { ...process.env, PATH: `${ROOT}/node_modules/.bin:${process.env["PATH"]}` },
    },
  );
  if (exitCode !== 0) throw new BuildFailure(`declarations: ${stdout.toString()}`);
  for (const name of readdirSync(join(LIBRARY, "types"), { recursive: true, encoding: "utf8" })) {
    if (!name.endsWith(".d.ts")) continue;
    const path = join(LIBRARY, "types", name);
    const text = readFileSync(path, "utf8");
    writeFileSync(path, text.replaceAll(/((?:from|import\() *")(\.[^"]+)\.ts"/g, '$1$2.js"'));
  }
}

/** Builds the shim of each architecture that has a compiler here; returns the others. */
function shims(): string[] {
  const left: string[] = [];
  for (const architecture of ARCHITECTURES) {
    const target = { ...toolchainOf(architecture), directory: `dist/library/${architecture}` };
    const name = NODE_NAMES[architecture] ?? architecture;
    if (Bun.which(target.compiler) === null) {
      left.push(`${name} (apt-get install ${target.compilerPackages})`);
      continue;
    }
    copyFileSync(buildShim(target), join(LIBRARY, `shim-${name}.so`));
  }
  copyFileSync(join(ROOT, "native/shim.c"), join(LIBRARY, "shim.c"));
  return left;
}

/** The library's package.json; the root's `exports` has the same, with paths from the root. */
function packageJson(): string {
  const { name, version, description, license, type, engines } = manifest;
  const exports = {
    ".": { types: "./types/index.d.ts", bun: "./index.js", default: "./node.js" },
  };
  const fields = { name, version, description, license, type, exports, engines };
  return `${JSON.stringify(fields, undefined, 2)}\n`;
}

/** Names of values that index.ts exports, from the bundle itself. */
function exportedNames(): string[] {
  const [list = ""] =
    /^export \{[^}]*\};?\s*$/m.exec(readFileSync(join(LIBRARY, "index.js"), "utf8")) ?? [];
  return [...list.matchAll(/(?:\w+ as )?(\w+)(?=[,\s}])/g)]
    .map(([, name = ""]) => name)
    .filter((name) => name !== "export");
}

async function main(): Promise<number> {
  try {
    rmSync(LIBRARY, { recursive: true, force: true });
    mkdirSync(LIBRARY, { recursive: true });
    await bundle();
    declarations();
    const left = shims();
    writeFileSync(join(LIBRARY, "node.js"), nodeModule(exportedNames()));
    writeFileSync(join(LIBRARY, "package.json"), packageJson());
    for (const name of ["LICENSE", "docs/library.md"]) {
      copyFileSync(join(ROOT, name), join(LIBRARY, name === "LICENSE" ? name : "README.md"));
    }
    if (left.length > 0) console.error(`library: no prebuilt shim for ${left.join(", ")}`);
    console.error("built lib/");
    return 0;
  } catch (error) {
    if (!(error instanceof BuildFailure)) throw error;
    console.error(`library: ${error.message}`);
    return 1;
  }
}

if (import.meta.main) process.exitCode = await main();
