/** Builds the program of one architecture, and the texts that are packaged with it. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
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
import { bundledPackages, directNeeds } from "./bundled.ts";
import { fishCompletion, zshCompletion } from "./completion-shells.ts";
import { bashCompletion } from "./completion.ts";
import { copyright } from "./copyright.ts";
import type { DebInput } from "./deb.ts";
import { manPages } from "./man.ts";
import { billOfMaterials } from "./sbom.ts";

const ROOT = join(import.meta.dir, "..");

/** Debian's name for this machine's architecture. */
export const HERE = process.arch === "arm64" ? "arm64" : "amd64";

type Toolchain = Omit<Target, "directory">;

/** How to build for each of Debian's architectures. */
const TARGETS: Readonly<Record<string, Toolchain>> = {
  amd64: {
    compiler: "x86_64-linux-gnu-gcc",
    compilerPackages: "gcc-x86-64-linux-gnu libc6-dev-amd64-cross",
    runtime: "bun-linux-x64",
  },
  arm64: {
    compiler: "aarch64-linux-gnu-gcc",
    compilerPackages: "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    runtime: "bun-linux-arm64",
  },
};

export const ARCHITECTURES = Object.keys(TARGETS);

/** The toolchain for an architecture: this machine's compiler, or a cross compiler. */
export function toolchainOf(architecture: string): Toolchain {
  const toolchain = architecture === HERE ? NATIVE : TARGETS[architecture];
  if (toolchain !== undefined) return toolchain;
  const names = ARCHITECTURES.join(", ");
  throw new BuildFailure(`unknown architecture "${architecture}", one of: ${names}`);
}

/**
 * The date of all files: SOURCE_DATE_EPOCH (reproducible-builds.org), else the commit's, in seconds
 * since the epoch.
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

/** A program and the other contents of its package. */
export interface Prepared extends DebInput {
  /** Path of the SBOM, beside the program. */
  readonly sbomPath: string;
}

/**
 * Builds the program of one architecture below `out` (relative to the repository's root, or
 * absolute): for this machine's architecture directly in it, for another in a subdirectory.
 */
export async function prepare(architecture: string, out: string): Promise<Prepared> {
  const toolchain = toolchainOf(architecture);
  const directory = resolve(ROOT, out, architecture === HERE ? "." : architecture);
  const target = { ...toolchain, directory };
  const date = sourceDate();
  const commit = revision();
  // The command modules load the shim of this machine, also in a cross build.
  buildShim(NATIVE);
  const shim = buildShim(target);
  const { program, inputs } = await buildBinary(target, shim, commit);
  const { programPlaces } = await import("./tree.ts");
  const { alertRules, dashboard, metricFamilies } = await import("./monitoring.ts");
  const places = await programPlaces();
  const bundled = bundledPackages(inputs);
  const sbom = billOfMaterials({
    version,
    revision: commit,
    architecture,
    date,
    sha256: sha256(program),
    bundled,
    direct: directNeeds(inputs),
  });
  const sbomPath = join(directory, "sbom.cdx.json");
  await Bun.write(sbomPath, sbom);
  return {
    architecture,
    program,
    shim,
    version,
    date,
    manPages: manPages(places, { version, date }),
    completions: {
      bash: bashCompletion(places),
      zsh: zshCompletion(places),
      fish: fishCompletion(places),
    },
    alerts: alertRules(),
    dashboard: dashboard(await metricFamilies()),
    copyright: copyright(bundled),
    sbom,
    sbomPath,
    out: resolve(ROOT, out),
  };
}
