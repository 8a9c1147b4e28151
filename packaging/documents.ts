/** The texts Debian wants beside a program: its changelog, and who may copy what. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { dependencies } from "../package.json";
import { wrap } from "../src/cli/help.ts";

const ROOT = join(import.meta.dir, "..");

/** Who answers for a package: DEBFULLNAME and DEBEMAIL, as Debian's own tools take them. */
export function maintainer(): string {
  const name = process.env["DEBFULLNAME"] ?? "pmxcfs-ipc maintainers";
  return `${name} <${process.env["DEBEMAIL"] ?? "maintainers@pmxcfs-ipc.invalid"}>`;
}

/** Columns of Debian's texts. */
const WIDTH = 78;

/** `0.1.0` as a Debian version. */
export function debianVersion(version: string): string {
  return `${version}-1`;
}

/** One point; it ends where the next paragraph or heading begins. */
function changelogPoint(point: string): string[] {
  const [text = ""] = point.split("\n\n");
  const lines = wrap(text.trim().replaceAll(/\s+/g, " "), WIDTH - 4);
  return lines.map((line, index) => `${index === 0 ? "  * " : "    "}${line}`);
}

/** Debian's changelog, from the headings and points of CHANGELOG.md. */
export function debianChangelog(markdown: string, date: number): string {
  const day = new Date(date * 1000).toUTCString().replace("GMT", "+0000");
  const [, ...releases] = markdown.split(/^## /m);
  const entries = releases.map((release) => {
    const version = debianVersion(release.split(" ")[0] ?? "");
    const points = release.split(/^- /m).slice(1).flatMap(changelogPoint);
    const title = `pmxcfs-ipc (${version}) unstable; urgency=medium`;
    return [title, "", ...points, "", ` -- ${maintainer()}  ${day}`, ""].join("\n");
  });
  return entries.join("\n");
}

/** The npm packages inside the program; the SBOM and the copyright file name them. */
const BUNDLED = Object.keys(dependencies);

const APACHE = `Licensed under the Apache License, Version 2.0; its whole text is in
/usr/share/common-licenses/Apache-2.0.`;

/** A license as it came, or where Debian has it: the policy wants common ones not repeated. */
function licenseText(name: string): string {
  const text = readFileSync(join(ROOT, "node_modules", name, "LICENSE"), "utf8").trim();
  if (text.startsWith("Apache License")) return APACHE;
  return text;
}

/** The paragraph of one of them. */
function bundledLicense(name: string): string {
  const text = licenseText(name);
  const lines = text.split("\n").map((line) => ` ${line.trim() === "" ? "." : line.trimEnd()}`);
  return [
    `Files: usr/bin/pmxcfs-ipc/${name}`,
    `Copyright: the authors of ${name}, as the license says`,
    `License: ${name}`,
    ...lines,
    "",
  ].join("\n");
}

const AGPL = ` This program is free software: you can redistribute it and/or modify it
 under the terms of the GNU Affero General Public License as published by the
 Free Software Foundation, either version 3 of the License, or (at your option)
 any later version.
 .
 This program is distributed in the hope that it will be useful, but WITHOUT
 ANY WARRANTY; without even the implied warranty of MERCHANTABILITY or FITNESS
 FOR A PARTICULAR PURPOSE. See the GNU Affero General Public License for more
 details.
 .
 The whole license is in /usr/share/doc/pmxcfs-ipc/LICENSE.gz.`;

/** Who may copy what: machine-readable (copyright-format 1.0). */
export function copyright(): string {
  return [
    "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/",
    "Upstream-Name: pmxcfs-ipc",
    "Comment: the program has Bun (https://bun.sh) and the libraries built into it inside;",
    " /usr/share/doc/pmxcfs-ipc/sbom.cdx.json names each with its version.",
    "",
    "Files: *",
    "Copyright: 2026 the pmxcfs-ipc authors",
    "License: AGPL-3.0-or-later",
    ...AGPL.split("\n"),
    "",
    ...BUNDLED.map(bundledLicense),
  ].join("\n");
}
