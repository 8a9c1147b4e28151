/** What Debian wants to know of a package: its version, its changelog, who answers for it. */
import { wrap } from "../src/base/table.ts";

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
