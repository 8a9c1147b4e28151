/**
 * A support bundle: findings, versions, logs, corosync, the tree's listing and its recent changes
 * in one .tar.gz, with an index page that opens without a network. It contains no contents of files
 * of the tree.
 */
import { gzipSync } from "node:zlib";
import { compactTime } from "../../base/compact-time.ts";
import { maskSecrets } from "../../base/mask-secrets.ts";
import type { Paint } from "../../base/table.ts";
import { buildInfo } from "../../base/version.ts";
import { renderJson } from "../check/report-machine.ts";
import { renderText } from "../check/report-text.ts";
import type { Report } from "../check/report.ts";
import { indexPage } from "./page.ts";
import { collectParts, type BundlePaths, type Part } from "./sources.ts";

/** The bytes of a bundle, gzipped, and the names in it. */
export interface Bundle {
  readonly bytes: Uint8Array;
  readonly names: readonly string[];
}

/** Makes the bundle of a finished check. `paint`: styles without colour. */
export async function makeBundle(
  report: Report,
  paths: BundlePaths,
  paint: Paint,
): Promise<Bundle> {
  const masked = maskedReport(report);
  const parts: Part[] = [
    { name: "check.txt", about: "What --check found", text: renderText(masked, paint, true) },
    {
      name: "check.json",
      about: "The same as JSON",
      text: renderJson(masked, buildInfo.version),
    },
    ...(await collectParts(paths)),
  ];
  const directory = `pmxcfs-ipc-${report.host}-${compactTime(report.at)}`;
  const files: Record<string, string> = {
    [`${directory}/index.html`]: indexPage(masked, parts),
  };
  for (const { name, text } of parts) files[`${directory}/${name}`] = text;
  const tar = await new Bun.Archive(files).bytes();
  return { bytes: gzipSync(tar), names: Object.keys(files) };
}

/** The report with its strings masked one by one: findings quote log lines and command lines. */
function maskedReport(report: Report): Report {
  const copy: unknown = JSON.parse(JSON.stringify(report), (_, value: unknown) =>
    typeof value === "string" ? maskSecrets(value) : value,
  );
  return copy as Report;
}
