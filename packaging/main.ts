/**
 * `bun run package [amd64] [arm64]`: a Debian package per architecture (this machine's unless
 * named) with its SBOM, and their checksums in dist/SHA256SUMS. `bun run package --release` makes
 * dist/release/ with all files of a release, from a clean commit only.
 */
import { copyFileSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { BuildFailure, revision } from "../build.ts";
import { version } from "../package.json";
import { buildDeb } from "./deb.ts";
import { ARCHITECTURES, HERE, prepare, type Prepared, sha256 } from "./make.ts";

const ROOT = join(import.meta.dir, "..");
const DIST = join(ROOT, "dist");

/** Writes `SHA256SUMS`, for sha256sum -c, beside `paths`, which must be in one directory. */
function writeSums(directory: string, paths: readonly string[]): string {
  const out = join(directory, "SHA256SUMS");
  const lines = paths.map((path) => `${sha256(path)}  ${relative(directory, path)}\n`);
  writeFileSync(out, lines.join(""));
  return out;
}

function report(path: string): void {
  console.log(`made ${relative(ROOT, path)}, ${statSync(path).size} bytes`);
}

async function release(): Promise<void> {
  const commit = revision();
  if (commit === "unknown" || commit.endsWith("+changes")) {
    throw new BuildFailure(`a release needs a clean commit, this is ${commit}`);
  }
  const changelog = await Bun.file(join(ROOT, "CHANGELOG.md")).text();
  if (!changelog.includes(`\n## ${version} (`)) {
    throw new BuildFailure(`CHANGELOG.md has no heading for ${version}`);
  }
  const directory = join(DIST, "release");
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const paths: string[] = [];
  for (const architecture of ARCHITECTURES) {
    const prepared = await prepare(architecture, "dist");
    paths.push(...gather(prepared, buildDeb(prepared), directory));
  }
  for (const path of paths) report(path);
  report(writeSums(directory, paths));
}

/** Copies the program, package and SBOM to names that contain the architecture. */
function gather(prepared: Prepared, deb: string, directory: string): string[] {
  const { architecture, program, sbomPath } = prepared;
  const stem = `pmxcfs-ipc-${version}-linux-${architecture}`;
  const named = [
    [program, stem],
    [deb, basename(deb)],
    [sbomPath, `${stem}.cdx.json`],
  ] as const;
  return named.map(([from, name]) => {
    const to = join(directory, name);
    copyFileSync(from, to);
    return to;
  });
}

async function packages(architectures: readonly string[]): Promise<void> {
  const paths: string[] = [];
  for (const architecture of architectures) {
    const prepared = await prepare(architecture, "dist");
    paths.push(prepared.program, buildDeb(prepared), prepared.sbomPath);
  }
  for (const path of paths) report(path);
  report(writeSums(DIST, paths));
}

async function main(words: readonly string[]): Promise<number> {
  try {
    if (words.length === 1 && words[0] === "--release") await release();
    else await packages(words.length === 0 ? [HERE] : words);
    return 0;
  } catch (error) {
    if (!(error instanceof BuildFailure)) throw error;
    console.error(`package: ${error.message}`);
    return 1;
  }
}

process.exitCode = await main(process.argv.slice(2));
