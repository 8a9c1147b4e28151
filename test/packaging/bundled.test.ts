/** SBOM and copyright file name all parts of the program, and nothing else. */
import { beforeAll, describe, expect, test } from "bun:test";
import { bundledPackages, directNeeds } from "../../packaging/bundled.ts";
import { copyright } from "../../packaging/copyright.ts";
import { runtimeLibraries, unknownLibraries } from "../../packaging/runtime.ts";
import { billOfMaterials, type Subject } from "../../packaging/sbom.ts";
import { type Bundle, bundle, lacking } from "./shipped.ts";

let made: Bundle;
let subject: Subject;

beforeAll(async () => {
  made = await bundle();
  subject = {
    version: "1.2.3",
    revision: "abc",
    architecture: "amd64",
    date: 1_767_225_600,
    sha256: "00",
    bundled: bundledPackages(made.inputs),
    direct: directNeeds(made.inputs),
  };
});

const without = ({ bundled, ...rest }: Subject, name: string): Subject => {
  return { ...rest, bundled: bundled.filter((each) => each.name !== name) };
};

describe("the packages inside the program", () => {
  test("are those that the SBOM and the copyright file name", () => {
    expect(made.shipped.length).toBeGreaterThan(4);
    expect(made.shipped).toContain("node_modules/@opentelemetry/api");
    const texts = [billOfMaterials(subject), copyright(subject.bundled)] as const;
    expect(lacking(made.shipped, ...texts)).toEqual([]);
    expect(subject.bundled.map(({ name }) => `node_modules/${name}`).toSorted()).toEqual(
      made.shipped.toSorted(),
    );
  });

  test("each one is reported if it is missing", () => {
    for (const directory of made.shipped) {
      const name = directory.replace("node_modules/", "");
      const less = without(subject, name);
      const found = lacking(made.shipped, billOfMaterials(less), copyright(less.bundled));
      expect(found.some((line) => line.startsWith(`${name} `))).toBe(true);
    }
  });

  test("depend on the packages that their code imports", () => {
    const needs = Object.fromEntries(subject.bundled.map((each) => [each.name, each.needs]));
    expect(needs).toMatchObject({
      "prom-client": ["@opentelemetry/api", "tdigest"],
      tdigest: ["bintrees"],
      bintrees: [],
    });
    expect(subject.direct).toEqual(["citty", "consola", "diff", "prom-client"]);
  });

  test("that are carried in another package's files are named too", () => {
    const carries = subject.bundled.flatMap((each) => each.carries.map(({ name }) => name));
    expect(carries.toSorted()).toEqual(["defu", "scule"]);
    for (const name of carries) {
      expect(billOfMaterials(subject)).toContain(`"name": "${name}"`);
      expect(copyright(subject.bundled)).toMatch(new RegExp(`^Comment: .* has ${name} `, "m"));
    }
  });
});

describe("the runtime", () => {
  test("reports no library that is missing in runtime.ts", () => {
    expect(unknownLibraries()).toEqual([]);
  });

  test("is named with all its libraries, and with how to replace those under the LGPL", () => {
    const { components } = JSON.parse(billOfMaterials(subject));
    const bun = components.find(({ name }: { name: string }) => name === "bun");
    expect(bun.version).toBe(Bun.version);
    expect(bun.hashes[0].content).toMatch(/^[0-9a-f]{128}$/);
    const text = copyright(subject.bundled);
    for (const { name, version, license, url } of runtimeLibraries()) {
      const inside = bun.components.find((each: { name: string }) => each.name === name);
      expect(inside).toMatchObject(version === undefined ? {} : { version });
      expect(inside.licenses).toHaveLength(1);
      const terms = license === "several" ? "several licenses, see there" : license;
      const what = version === undefined ? name : `${name} ${version}`;
      expect(text).toContain(` ${what}: ${terms}, ${url}\n`);
    }
    expect(text).toContain(` WebKit (JavaScriptCore) ${process.versions["webkit"]}: LGPL-2.0`);
    expect(text).toContain("/usr/share/common-licenses/LGPL-2 ");
  });
});

function refsOf(parts: { "bom-ref": string }[]): string[] {
  return parts.map((each) => each["bom-ref"]);
}

describe("the SBOM", () => {
  test("is CycloneDX, with unique references that point to components", () => {
    const bill = JSON.parse(billOfMaterials(subject));
    expect(bill).toMatchObject({ bomFormat: "CycloneDX", specVersion: "1.6", version: 1 });
    expect(bill.serialNumber).toMatch(
      /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-/,
    );
    const top = [bill.metadata.component, ...bill.components];
    const refs = refsOf(top.flatMap((each) => [each, ...(each.components ?? [])]));
    expect(new Set(refs).size).toBe(refs.length);
    const rows = bill.dependencies.map(({ ref }: { ref: string }) => ref);
    expect(new Set(rows)).toEqual(new Set(refsOf(top)));
    for (const { dependsOn } of bill.dependencies) {
      for (const target of dependsOn) expect(refs).toContain(target);
    }
  });

  test("the same input gives the same bytes, other input another serial number", () => {
    expect(billOfMaterials(subject)).toBe(billOfMaterials(subject));
    const other = JSON.parse(billOfMaterials({ ...subject, revision: "def" }));
    expect(other.serialNumber).not.toBe(JSON.parse(billOfMaterials(subject)).serialNumber);
  });
});
