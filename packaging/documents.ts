/** Texts that Debian requires of a package: its version, its changelog, its maintainer. */
import { wrap } from "../src/base/table.ts";

/** The maintainer, from DEBFULLNAME and DEBEMAIL, as Debian's own tools take them. */
export function maintainer(): string {
  const name = process.env["DEBFULLNAME"] ?? "pmxcfs-ipc maintainers";
  return `${name} <${process.env["DEBEMAIL"] ?? "maintainers@pmxcfs-ipc.invalid"}>`;
}

/** Line width of Debian's texts, in columns. */
const WIDTH = 78;

/** `0.1.0` as a Debian version. */
export function debianVersion(version: string): string {
  return `${version}-1`;
}

/** One item of a list; it ends at the next paragraph or heading. */
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
