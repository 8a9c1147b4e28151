/**
 * The packages that are really in the program, found independently of packaging/: by the sources
 * that a source map of the bundle names. And those that SBOM and copyright file lack.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { REPOSITORY } from "../support/native.ts";

export interface Bundle {
  readonly inputs: Bun.BuildMetafile["inputs"];
  /** Directories of packages, `node_modules/citty`. */
  readonly shipped: readonly string[];
}

/** Bundles the program as build.ts does, but into memory, with a source map. */
export async function bundle(): Promise<Bundle> {
  const { outputs, metafile } = await Bun.build({
    entrypoints: [join(REPOSITORY, "src/main.ts")],
    root: REPOSITORY,
    format: "esm",
    target: "bun",
    minify: true,
    metafile: true,
    sourcemap: "external",
    plugins: [
      {
        name: "shim",
        setup: (build) =>
          void build.onResolve({ filter: /\/shim\.so$/ }, ({ importer }) => {
            return { path: importer, namespace: "shim", external: true };
          }),
      },
    ],
  });
  const map = outputs.find(({ kind }) => kind === "sourcemap");
  if (map === undefined) throw new Error("the bundler made no source map");
  const { sources } = (await map.json()) as { sources: string[] };
  const shipped = sources.flatMap((path) => {
    const [, directory] =
      /(node_modules\/(?:@[^/]+\/)?[^/]+)\/(?!.*node_modules\/)/.exec(path) ?? [];
    return directory === undefined ? [] : [directory];
  });
  return { inputs: metafile?.inputs ?? {}, shipped: [...new Set(shipped)] };
}

interface Bill {
  readonly metadata: { readonly component: { readonly "bom-ref": string } };
  readonly components: readonly {
    readonly "bom-ref": string;
    readonly name: string;
    readonly version: string;
    readonly purl?: string;
    readonly licenses?: readonly unknown[];
    readonly hashes?: readonly { readonly content: string }[];
  }[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

/** The references that are reachable from the program. */
function reached({ metadata, dependencies }: Bill): Set<string> {
  const below = new Map(dependencies.map(({ ref, dependsOn }) => [ref, dependsOn]));
  const found = new Set<string>();
  const ahead = [metadata.component["bom-ref"]];
  for (let ref = ahead.pop(); ref !== undefined; ref = ahead.pop()) {
    if (found.has(ref)) continue;
    found.add(ref);
    ahead.push(...(below.get(ref) ?? []));
  }
  return found;
}

/** What is wrong or missing about the packages in `shipped`, one line each. */
export function lacking(shipped: readonly string[], sbom: string, copyright: string): string[] {
  const bill = JSON.parse(sbom) as Bill;
  const needed = reached(bill);
  const squeezed = copyright.replaceAll(/\s+\.?\s*/g, " ");
  return shipped.flatMap((directory) => {
    const read = (file: string) => readFileSync(join(REPOSITORY, directory, file), "utf8");
    const { name, version } = JSON.parse(read("package.json")) as Record<string, string>;
    const found = bill.components.find((each) => each.name === name && each.version === version);
    const problems: string[] = [];
    if (found === undefined) problems.push("not in the SBOM");
    if (found?.purl !== `pkg:npm/${name?.replace("@", "%40")}@${version}`) problems.push("no purl");
    if ((found?.licenses ?? []).length === 0) problems.push("no license in the SBOM");
    if (found?.hashes?.[0]?.content.length !== 128) problems.push("no hash");
    if (!needed.has(found?.["bom-ref"] ?? "")) problems.push("nobody needs it");
    if (!copyright.includes(`\nFiles: ${directory}/*\n`)) problems.push("not in copyright");
    const text = read("LICENSE").trim();
    const isCommon = text.startsWith("Apache License") && copyright.includes("Apache-2.0");
    const isThere = squeezed.includes(text.replaceAll(/\s+\.?\s*/g, " "));
    if (!isCommon && !isThere) problems.push("its license is not in copyright");
    return problems.map((problem) => `${name} ${version}: ${problem}`);
  });
}
