/**
 * The npm packages inside a program: those whose files the bundler reports as included, with data
 * from their manifests, license files and the lockfile. SBOM and copyright file name these and no
 * others.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { BuildFailure, type BundleInputs } from "../build.ts";
import { lockedAt } from "./lockfile.ts";

const ROOT = join(import.meta.dir, "..");
const MODULES = "node_modules/";

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly description?: string;
  readonly license?: string;
  readonly author?: string | { readonly name: string };
}

/** A package whose code another one, the carrier, has in its own files. */
export interface Carried {
  readonly name: string;
  /** Undefined where the carrier does not say. */
  readonly version: string | undefined;
  readonly license: string;
  readonly holder: string;
}

/** Terms of carried packages, from their own license files: carriers do not name them. */
const CARRIED_TERMS: Readonly<Record<string, Pick<Carried, "license" | "holder">>> = {
  defu: { license: "MIT", holder: "2019 Pooya Parsa" },
  scule: { license: "MIT", holder: "2021 UnJS" },
};

export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  readonly description: string | undefined;
  /** An SPDX expression. */
  readonly license: string;
  /** Its license file, and its notice file where it has one. */
  readonly texts: readonly string[];
  /** The copyright holders, from those files, else from its manifest. */
  readonly holders: readonly string[];
  /** `sha512-BASE64` of its archive, as the lockfile has it. */
  readonly integrity: string | undefined;
  /** Names of the bundled packages that its files import. */
  readonly needs: readonly string[];
  readonly carries: readonly Carried[];
}

/** Directory of a file's package, relative to the root; undefined for a file of ours. */
function packageOf(path: string): string | undefined {
  const at = path.lastIndexOf(MODULES);
  if (at === -1) return undefined;
  const [first = "", second = ""] = path.slice(at + MODULES.length).split("/");
  const name = first.startsWith("@") ? `${first}/${second}` : first;
  // The bundler's paths are relative to the directory it was started in.
  return path.slice(path.indexOf(MODULES), at) + MODULES + name;
}

/** Packages by directory, with their files. */
function filesByPackage(inputs: BundleInputs): Map<string, string[]> {
  const packages = new Map<string, string[]>();
  for (const path of Object.keys(inputs).toSorted()) {
    const directory = packageOf(path);
    if (directory === undefined) continue;
    packages.set(directory, [...(packages.get(directory) ?? []), path]);
  }
  return packages;
}

function manifestOf(directory: string): Manifest {
  return JSON.parse(readFileSync(join(ROOT, directory, "package.json"), "utf8")) as Manifest;
}

/** The license and notice texts that must be distributed with a package's code. */
function textsOf(directory: string): string[] {
  const names = ["LICENSE", "LICENSE.md", "LICENSE.txt", "NOTICE"];
  const paths = names.map((name) => join(ROOT, directory, name)).filter((path) => existsSync(path));
  return paths.map((path) => readFileSync(path, "utf8").trim());
}

/** Matches `2015 Will Welch`, but no sentence of a license about copyright in general. */
const HOLDER = /^\s*Copyright\s+(?:\([cC]\)|©)?\s*((?:\d{4}|[A-Z])[^[{\n]*)$/gm;

function holdersOf(texts: readonly string[], { name, author }: Manifest): string[] {
  const found = texts.flatMap((text) =>
    [...text.matchAll(HOLDER)].map(([, who = ""]) => who.trim()),
  );
  if (found.length > 0) return [...new Set(found)];
  const written = typeof author === "string" ? author : author?.name;
  return [written ?? `the authors of ${name}`];
}

/** Most bundlers mark included code; consola's does not, but keeps the name of a defu function. */
function carriedIn(path: string): Pick<Carried, "name" | "version">[] {
  const text = readFileSync(join(ROOT, path.slice(path.indexOf(MODULES))), "utf8");
  const marks =
    /^\/\/#region node_modules\/\.pnpm\/[^/]*@([^/@]+)\/node_modules\/(@[^/]+\/[^/]+|[^/]+)/gm;
  const marked = [...text.matchAll(marks)].map(([, version, name = ""]) => ({ name, version }));
  const isDefu = /^function _defu\(/m.test(text);
  return isDefu ? [...marked, { name: "defu", version: undefined }] : marked;
}

function carriedBy(files: readonly string[]): Carried[] {
  const byName = new Map(files.flatMap(carriedIn).map((each) => [each.name, each]));
  return [...byName.values()].map(({ name, version }) => {
    const terms = CARRIED_TERMS[name];
    if (terms === undefined) {
      throw new BuildFailure(`${name} is carried in ${files[0]}: its license is not in bundled.ts`);
    }
    const { license, holder } = terms;
    return { name, version, license, holder };
  });
}

/** Names of the packages that `files` import, without their own. */
function needsOf(inputs: BundleInputs, files: readonly string[]): string[] {
  const own = new Set(files.map(packageOf));
  const imported = files.flatMap((path) => inputs[path]?.imports ?? []);
  const needed = new Set(imported.map(({ path }) => packageOf(path)));
  return [...needed]
    .filter((directory) => directory !== undefined && !own.has(directory))
    .map((directory = "") => manifestOf(directory).name)
    .toSorted();
}

/** Names of the packages that our own files import. */
export function directNeeds(inputs: BundleInputs): string[] {
  return needsOf(
    inputs,
    Object.keys(inputs).filter((path) => packageOf(path) === undefined),
  );
}

/** The packages that have files in `inputs`. */
export function bundledPackages(inputs: BundleInputs): BundledPackage[] {
  return [...filesByPackage(inputs)].map(([directory, files]) => {
    const manifest = manifestOf(directory);
    const { name, version, description, license } = manifest;
    const locked = lockedAt(directory);
    if (locked.version !== version) {
      throw new BuildFailure(`${directory} is ${version}, not ${locked.version}: npm ci`);
    }
    if (license === undefined) throw new BuildFailure(`${directory} does not name its license`);
    const texts = textsOf(directory);
    if (texts.length === 0) throw new BuildFailure(`${directory} has no license file`);
    return {
      name,
      version,
      description,
      license,
      texts,
      holders: holdersOf(texts, manifest),
      integrity: locked.integrity,
      needs: needsOf(inputs, files),
      carries: carriedBy(files),
    };
  });
}
