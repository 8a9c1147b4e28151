/**
 * Debian's copyright file (copyright-format 1.0), with the license texts that must be distributed
 * with the code inside the program.
 */
import { wrap } from "../src/base/table.ts";
import type { BundledPackage } from "./bundled.ts";
import { runtimeLibraries, type RuntimeLibrary } from "./runtime.ts";

/** Line width of our own texts, in columns. */
const WIDTH = 78;

const AGPL = `This program is free software: you can redistribute it and/or modify it under the
terms of the GNU Affero General Public License as published by the Free Software Foundation, either
version 3 of the License, or (at your option) any later version.

This program is distributed in the hope that it will be useful, but WITHOUT ANY WARRANTY; without
even the implied warranty of MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE. See the GNU Affero
General Public License for more details.

The whole license is in /usr/share/doc/pmxcfs-ipc/LICENSE.gz.`;

const APACHE = `Licensed under the Apache License, Version 2.0; its whole text is in
/usr/share/common-licenses/Apache-2.0.`;

const BUN = `Bun itself is licensed under the MIT license. It has libraries inside, under licenses
of their own, as its makers list them in LICENSE.md of https://github.com/oven-sh/bun; the versions
are those that Bun tells.`;

const RELINK = `The LGPL (/usr/share/common-licenses/LGPL-2 and LGPL-2.1) lets you link the program
anew with another version of such a library: build Bun with it, as its LICENSE.md says, and have
that Bun run build.ts of the sources of pmxcfs-ipc.`;

/** The continuation lines of a field. */
function indented(lines: readonly string[]): string[] {
  return lines.map((line) => (line.trim() === "" ? " ." : ` ${line.trimEnd()}`));
}

function wrapped(text: string): string[] {
  const paragraphs = text.split("\n\n").map((each) => wrap(each.replaceAll("\n", " "), WIDTH));
  return indented(
    paragraphs
      .map((lines) => lines.join("\n"))
      .join("\n\n")
      .split("\n"),
  );
}

/** The packages whose code a package has in its own files. */
function carriedComment({ name, carries }: BundledPackage): string[] {
  return carries.flatMap((each) => {
    const version = each.version === undefined ? "" : ` ${each.version}`;
    const what = `${each.name}${version} (Copyright ${each.holder}, ${each.license})`;
    return [`Comment: ${name} has ${what} in its files, on the same terms.`];
  });
}

/** Debian's common licenses are not repeated; other texts are included, each under its own name. */
function licenseOf({ name, license, texts }: BundledPackage): string[] {
  if (license === "Apache-2.0") return ["License: Apache-2.0"];
  const lines = texts.join("\n\n").split("\n");
  return [`License: ${license}~${name.replaceAll(/[@/]/g, "-")}`, ...indented(lines)];
}

function packageParagraph(each: BundledPackage): string[] {
  const [first = "", ...others] = each.holders;
  return [
    `Files: node_modules/${each.name}/*`,
    `Copyright: ${first}`,
    ...indented(others),
    ...licenseOf(each),
    ...carriedComment(each),
    "",
  ];
}

function libraryLine({ name, version, license, url }: RuntimeLibrary): string {
  const terms = license === "several" ? "several licenses, see there" : license;
  return ` ${name}${version === undefined ? "" : ` ${version}`}: ${terms}, ${url}`;
}

function runtimeParagraph(): string[] {
  return [
    "Files: node_modules/@oven/*",
    "Copyright: the authors of Bun, and those of the libraries below",
    "License: Bun",
    ...wrapped(BUN),
    " .",
    ...runtimeLibraries().map(libraryLine),
    " .",
    ...wrapped(RELINK),
    "",
  ];
}

/** The file, for a program with `bundled` inside. */
export function copyright(bundled: readonly BundledPackage[]): string {
  return [
    "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/",
    "Upstream-Name: pmxcfs-ipc",
    `Comment: The program is one file made of all that is named here: our own files, npm packages,`,
    " and the runtime Bun. /usr/share/doc/pmxcfs-ipc/sbom.cdx.json has their versions.",
    "",
    "Files: *",
    "Copyright: 2026 the pmxcfs-ipc authors",
    "License: AGPL-3.0-or-later",
    ...wrapped(AGPL),
    "",
    ...bundled.flatMap(packageParagraph),
    ...runtimeParagraph(),
    "License: Apache-2.0",
    ...wrapped(APACHE),
    "",
  ].join("\n");
}
