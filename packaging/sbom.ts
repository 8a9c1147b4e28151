/**
 * The software bill of materials, CycloneDX 1.6 JSON: this program, the npm packages bundled into
 * it, Bun, and the libraries Bun has built in. The same input gives the same bytes, serial number
 * included.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "..");

interface LockEntry {
  readonly version: string;
  readonly integrity?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
}

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly description?: string;
  readonly license?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}

interface Component {
  readonly type: string;
  readonly "bom-ref": string;
  readonly name: string;
  readonly version: string;
  readonly [more: string]: unknown;
}

function readJson(...path: string[]): unknown {
  return JSON.parse(readFileSync(join(ROOT, ...path), "utf8"));
}

/** `sha512-BASE64` of the lockfile as CycloneDX wants it. */
function hashes(integrity: string | undefined): { alg: string; content: string }[] {
  const [, base64] = /^sha512-(.+)$/.exec(integrity ?? "") ?? [];
  if (base64 === undefined) return [];
  return [{ alg: "SHA-512", content: Buffer.from(base64, "base64").toString("hex") }];
}

/** An npm package that is bundled into the program. */
function bundled(path: string, entry: LockEntry): Component {
  const { name, description, license } = readJson(path, "package.json") as Manifest;
  return {
    type: "library",
    "bom-ref": `pkg:npm/${name}@${entry.version}`,
    name,
    version: entry.version,
    ...(description === undefined ? {} : { description }),
    ...(license === undefined ? {} : { licenses: [{ license: { id: license } }] }),
    hashes: hashes(entry.integrity),
    purl: `pkg:npm/${name.replace("@", "%40")}@${entry.version}`,
    scope: "required",
  };
}

/** Words of process.versions that are interfaces or our own tools, not code inside Bun. */
const NOT_LIBRARIES = new Set(["node", "bun", "modules", "napi", "unicode", "v8", "typescript"]);

function runtime(): Component {
  const { version, license = "MIT" } = readJson("node_modules/bun/package.json") as Manifest;
  const inside = Object.entries(process.versions)
    .filter(([name]) => !NOT_LIBRARIES.has(name))
    .toSorted(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, builtIn]) => ({
      type: "library",
      "bom-ref": `bun/${name}@${builtIn}`,
      name,
      version: String(builtIn),
    }));
  return {
    type: "platform",
    "bom-ref": `pkg:npm/bun@${version}`,
    name: "bun",
    version,
    description: "JavaScript runtime, embedded whole",
    licenses: [{ license: { id: license } }],
    purl: `pkg:npm/bun@${version}`,
    components: inside,
  };
}

/** A version 8 UUID (RFC 9562) made of what the document says. */
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

/** What a bill is about. */
export interface Subject {
  /** Version with revision: `0.1.0`. */
  readonly version: string;
  readonly revision: string;
  /** Seconds since the epoch. */
  readonly date: number;
  /** SHA-256 of the program, hexadecimal. */
  readonly sha256: string;
}

/** The document as text. */
export function billOfMaterials({ version, revision, date, sha256 }: Subject): string {
  const { name, description = "", license = "" } = readJson("package.json") as Manifest;
  const lock = readJson("package-lock.json") as { packages: Record<string, LockEntry> };
  const libraries = Object.entries(lock.packages)
    .filter(([path, { dev, optional }]) => path !== "" && dev !== true && optional !== true)
    .map(([path, entry]) => bundled(path, entry));
  const components = [...libraries, runtime()];
  const ref = `pkg:generic/${name}@${version}`;
  const document = {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      timestamp: new Date(date * 1000).toISOString(),
      component: {
        type: "application",
        "bom-ref": ref,
        name,
        version,
        description,
        licenses: [{ license: { id: license } }],
        hashes: [{ alg: "SHA-256", content: sha256 }],
        properties: [{ name: "git:revision", value: revision }],
      },
    },
    components,
    dependencies: [
      { ref, dependsOn: components.map((component) => component["bom-ref"]) },
      ...components.map((component) => ({ ref: component["bom-ref"], dependsOn: [] })),
    ],
  };
  const serial = serialNumber(JSON.stringify(document));
  return `${JSON.stringify({ ...document, serialNumber: serial }, null, 2)}\n`;
}
