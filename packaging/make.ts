/** One architecture from sources to files: program, bill of materials, Debian package. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  BuildFailure,
  buildBinary,
  buildShim,
  git,
  NATIVE,
  revision,
  type Target,
} from "../build.ts";
import { version } from "../package.json";
import { buildDeb } from "./deb.ts";

const ROOT = join(import.meta.dir, "..");

/** Debian's name of this machine's architecture. */
export const HERE = process.arch === "arm64" ? "arm64" : "amd64";

/** How to build for each of Debian's architectures. */
const TARGETS: Readonly<Record<string, Target>> = {
  amd64: {
    compiler: "x86_64-linux-gnu-gcc",
    compilerPackages: "gcc-x86-64-linux-gnu libc6-dev-amd64-cross",
    runtime: "bun-linux-x64",
    directory: "dist/amd64",
  },
  arm64: {
    compiler: "aarch64-linux-gnu-gcc",
    compilerPackages: "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    runtime: "bun-linux-arm64",
    directory: "dist/arm64",
  },
};

export const ARCHITECTURES = Object.keys(TARGETS);

/** What was made, as paths. */
export interface Made {
  readonly architecture: string;
  readonly program: string;
  readonly deb: string;
  readonly sbom: string;
}

/**
 * The date everything is given: SOURCE_DATE_EPOCH (reproducible-builds.org), else the commit's.
 * Seconds since the epoch.
 */
export function sourceDate(): number {
  const given = process.env["SOURCE_DATE_EPOCH"] ?? git("log", "-1", "--format=%ct") ?? "";
  if (!/^\d+$/.test(given)) {
    throw new BuildFailure("no commit to take the date from: set SOURCE_DATE_EPOCH (seconds)");
  }
  return Number(given);
}

export function sha256(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

/** Builds one architecture, this machine's own into dist/ itself. */
export async function make(architecture: string): Promise<Made> {
  const target = architecture === HERE ? NATIVE : TARGETS[architecture];
  if (target === undefined) {
    const known = ARCHITECTURES.join(", ");
    throw new BuildFailure(`unknown architecture "${architecture}", one of: ${known}`);
  }
  const date = sourceDate();
  const commit = revision();
  // The command modules load the shim of this machine, whatever is built for.
  buildShim(NATIVE);
  const shim = buildShim(target);
  const program = await buildBinary(target, shim, commit);
  const { programPlaces } = await import("./tree.ts");
  const { manPages } = await import("./man.ts");
  const { bashCompletion } = await import("./completion.ts");
  const { billOfMaterials } = await import("./sbom.ts");
  const places = await programPlaces();
  const sbom = billOfMaterials({ version, revision: commit, date, sha256: sha256(program) });
  const sbomPath = join(ROOT, target.directory, "sbom.cdx.json");
  await Bun.write(sbomPath, sbom);
  const deb = buildDeb({
    architecture,
    program,
    shim,
    version,
    date,
    manPages: manPages(places, { version, date }),
    completion: bashCompletion(places),
    sbom,
    out: join(ROOT, "dist"),
  });
  return { architecture, program, deb, sbom: sbomPath };
}
