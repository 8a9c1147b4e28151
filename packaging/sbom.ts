/**
 * The software bill of materials, CycloneDX 1.6 JSON: this program, the npm packages whose code is
 * in it, their dependencies, Bun, and the libraries in Bun. The same input gives the same bytes,
 * serial number included.
 */
import { createHash } from "node:crypto";
import { description, license, name as programName } from "../package.json";
import type { BundledPackage, Carried } from "./bundled.ts";
import { runtimeLibraries, type RuntimeLibrary, runtimePackage } from "./runtime.ts";

/** The fields of a CycloneDX component that are used here. */
interface Component {
  readonly type: string;
  readonly "bom-ref": string;
  readonly name: string;
  readonly version?: string;
  readonly [more: string]: unknown;
}

/** `sha512-BASE64` of the lockfile, as CycloneDX writes it. */
function hashes(integrity: string | undefined): { alg: string; content: string }[] {
  const [, base64] = /^sha512-(.+)$/.exec(integrity ?? "") ?? [];
  if (base64 === undefined) return [];
  return [{ alg: "SHA-512", content: Buffer.from(base64, "base64").toString("hex") }];
}

function purlOf(name: string, version?: string): string {
  const suffix = version === undefined ? "" : `@${version}`;
  return `pkg:npm/${name.replace("@", "%40")}${suffix}`;
}

function licensesOf(spdx: string, url?: string): object[] {
  if (spdx === "several") return [{ license: { name: "several licenses", url } }];
  return /\s/.test(spdx) ? [{ expression: spdx }] : [{ license: { id: spdx } }];
}

/** The packages whose code a package has in its own files. */
function carried({ name, version, license: spdx, holder }: Carried, within: string): Component {
  return {
    type: "library",
    "bom-ref": `${within}#${name}`,
    name,
    ...(version === undefined ? {} : { version }),
    licenses: licensesOf(spdx),
    copyright: `Copyright ${holder}`,
    purl: purlOf(name, version),
  };
}

/** An npm package whose code is in the program. */
function bundledComponent(each: BundledPackage): Component {
  const { name, version, description: about, holders, carries } = each;
  const purl = purlOf(name, version);
  return {
    type: "library",
    "bom-ref": purl,
    name,
    version,
    ...(about === undefined ? {} : { description: about }),
    scope: "required",
    hashes: hashes(each.integrity),
    licenses: licensesOf(each.license),
    copyright: holders.map((holder) => `Copyright ${holder}`).join("; "),
    purl,
    ...(carries.length === 0 ? {} : { components: carries.map((part) => carried(part, purl)) }),
  };
}

function libraryComponent({ name, version, license: spdx, url }: RuntimeLibrary): Component {
  return {
    type: "library",
    "bom-ref": `bun#${name}`,
    name,
    ...(version === undefined ? {} : { version }),
    licenses: licensesOf(spdx, url),
    externalReferences: [{ type: "website", url }],
  };
}

function runtime(architecture: string): Component {
  const { name, version, integrity } = runtimePackage(architecture);
  const purl = purlOf(name, version);
  return {
    type: "platform",
    "bom-ref": purl,
    name: "bun",
    version,
    description: "JavaScript runtime, embedded whole",
    scope: "required",
    hashes: hashes(integrity),
    licenses: licensesOf("MIT"),
    purl,
    components: runtimeLibraries().map(libraryComponent),
  };
}

/** A version 8 UUID (RFC 9562) made from the document's content. */
function serialNumber(content: string): string {
  const hex = createHash("sha256").update(content).digest("hex");
  const parts = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
  ];
  return `urn:uuid:${parts.join("-")}-${hex.slice(20, 32)}`;
}

/** The program that an SBOM describes. */
export interface Subject {
  readonly version: string;
  readonly revision: string;
  /** Debian's name. */
  readonly architecture: string;
  /** Seconds since the epoch. */
  readonly date: number;
  /** SHA-256 of the program, hexadecimal. */
  readonly sha256: string;
  readonly bundled: readonly BundledPackage[];
  /** Names of the packages that the program itself imports. */
  readonly direct: readonly string[];
}

/** The dependencies, by reference; every component has a row. */
function dependenciesOf(ref: string, bun: Component, { bundled, direct }: Subject): object[] {
  const refs = new Map(bundled.map(({ name, version }) => [name, purlOf(name, version)]));
  const refsOf = (names: readonly string[]) => names.flatMap((name) => refs.get(name) ?? []);
  return [
    { ref, dependsOn: [...refsOf(direct), bun["bom-ref"]] },
    ...bundled.map(({ name, version, needs }) => {
      return { ref: purlOf(name, version), dependsOn: refsOf(needs) };
    }),
    { ref: bun["bom-ref"], dependsOn: [] },
  ];
}

/** The document as text. */
export function billOfMaterials(subject: Subject): string {
  const { version, revision, architecture, date, sha256, bundled } = subject;
  const ref = `pkg:generic/${programName}@${version}`;
  const bun = runtime(architecture);
  const document = {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      timestamp: new Date(date * 1000).toISOString(),
      component: {
        type: "application",
        "bom-ref": ref,
        name: programName,
        version,
        description,
        licenses: licensesOf(license),
        hashes: [{ alg: "SHA-256", content: sha256 }],
        purl: ref,
        properties: [
          { name: "git:revision", value: revision },
          { name: "debian:architecture", value: architecture },
        ],
      },
    },
    components: [...bundled.map(bundledComponent), bun],
    dependencies: dependenciesOf(ref, bun, subject),
  };
  const serial = serialNumber(JSON.stringify(document));
  return `${JSON.stringify({ ...document, serialNumber: serial }, null, 2)}\n`;
}
