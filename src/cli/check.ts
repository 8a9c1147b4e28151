/**
 * `pmxcfs-ipc --check`: diagnoses the IPC of this host. The probes and reports are in
 * src/tools/check.
 */
import { counted } from "../base/counted.ts";
import { escapeText, jsonText } from "../base/escape.ts";
import { errorText } from "../base/error-text.ts";
import { buildInfo } from "../base/version.ts";
import { writeFileAtomically } from "../platform/atomic-file.ts";
import { selfCommand } from "../platform/self.ts";
import { CHECKS, type CheckName } from "../tools/diagnosis/code.ts";
import { CODES } from "../tools/diagnosis/codes.ts";
import { DEFAULT_OPTIONS, runCheck } from "../tools/check/check.ts";
import { type Cleaning, cleanStale } from "../tools/check/rings.ts";
import { localMachine } from "../tools/check/host.ts";
import type { CheckOptions } from "../tools/check/probe.ts";
import {
  renderCheckmk,
  renderJson,
  renderNagios,
  renderOpenMetrics,
} from "../tools/check/report-machine.ts";
import { renderQuiet, renderText } from "../tools/check/report-text.ts";
import { CheckExit, type Report, type Selection } from "../tools/check/report.ts";
import { count, flag, list, milliseconds, path, text } from "./args.ts";
import { command } from "./command.ts";
import { CommandFailure, ExitCode, leave, UsageFailure } from "./failure.ts";
import { Progress } from "./progress.ts";
import { suggest } from "./suggest.ts";
import { createStyle, print, stdoutStyle } from "./terminal.ts";
import { makeBundle } from "../tools/bundle/bundle.ts";
import { BUNDLE_PATHS } from "../tools/bundle/sources.ts";
import { closeSync, openSync, unlinkSync, writeFileSync } from "node:fs";

const FORMATS = ["json", "quiet", "nagios", "checkmk", "openmetrics"] as const;
type Format = (typeof FORMATS)[number];
type Formats = Readonly<Record<Format, boolean>>;
type ReportFiles = Readonly<Record<"output" | "bundle", string | undefined>>;

const OUTPUT = "Output";

function formatOf(values: Formats): Format | undefined {
  const given = FORMATS.filter((format) => values[format]);
  if (given.length > 1) throw new UsageFailure(`--${given[0]} and --${given[1]}: only one of them`);
  return given[0];
}

/** Names of checks (lower case) and codes (upper case), spelled as in the tables. */
function names(words: readonly string[], label: string): string[] {
  const known = [...Object.keys(CHECKS), ...Object.keys(CODES)];
  const spelled = new Map(known.map((name) => [name.toLowerCase(), name]));
  return words.map((word) => {
    const folded = word.toLowerCase().replaceAll("-", "_");
    const name = spelled.get(folded);
    if (name !== undefined) return name;
    const wrong = `${label}: "${word}" is neither a check nor a code`;
    throw new UsageFailure(wrong, spelled.get(suggest(folded, spelled.keys()) ?? ""));
  });
}

function render(
  report: Report,
  format: Format | undefined,
  { plain, verbose }: { readonly plain: boolean; readonly verbose: boolean },
): string {
  if (format === "json") return renderJson(report, buildInfo.version);
  if (format === "nagios") return renderNagios(report);
  if (format === "checkmk") return renderCheckmk(report);
  if (format === "openmetrics") return renderOpenMetrics(report);
  const style = stdoutStyle(plain);
  return format === "quiet" ? renderQuiet(report, style) : renderText(report, style, verbose);
}

/** Writes atomically: a collector reads either the old file or the new one. */
function writeFile(file: string, content: string): void {
  const problem = writeFileAtomically(file, content, 0o644);
  if (problem !== undefined) throw new CommandFailure(`--output: ${problem}`, CheckExit.UNKNOWN);
}

/** Makes a file with all of `bytes`, or none; never replaces a file. */
function writeNew(file: string, bytes: Uint8Array): void {
  const fd = openSync(file, "wx", 0o600);
  try {
    writeFileSync(fd, bytes);
  } catch (error) {
    unlinkSync(file);
    throw error;
  } finally {
    closeSync(fd);
  }
}

/** Writes the bundle, readable only by its owner. */
async function writeBundle(report: Report, file: string, progress: Progress): Promise<void> {
  progress.show("collects logs and state");
  const { bytes, names: parts } = await makeBundle(report, BUNDLE_PATHS, createStyle(false));
  try {
    writeNew(file, bytes);
  } catch (error) {
    throw new CommandFailure(`--bundle: ${errorText(error)}`, CheckExit.UNKNOWN);
  }
  progress.clear();
  process.stderr.write(
    `${escapeText(file)}: ${counted(parts.length, "file")}, ${bytes.length} bytes; look at index.html\n`,
  );
}

function cleaningText({ path: directory, bytes, kept }: Cleaning, dryRun: boolean): string {
  const size = `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
  if (kept !== undefined) return `kept ${directory} (${size}): ${kept}\n`;
  return `${dryRun ? "would remove" : "removed"} ${directory} (${size})\n`;
}

function cleaningsJson(cleanings: readonly Cleaning[], dryRun: boolean): string {
  const directories = cleanings.map(({ path: directory, bytes, kept = null }) => {
    return { path: directory, bytes, kept };
  });
  return `${jsonText({ schema_version: 1, dry_run: dryRun, directories }, 2)}\n`;
}

async function clean(service: string, dryRun: boolean, asJson: boolean): Promise<number> {
  const cleanings = await cleanStale(localMachine(), service, dryRun);
  if (asJson) print(cleaningsJson(cleanings, dryRun));
  else if (cleanings.length === 0) print("dead servers have left nothing\n");
  else print(cleanings.map((each) => cleaningText(each, dryRun)).join(""));
  return cleanings.some(({ kept }) => kept !== undefined) ? CheckExit.WARNING : CheckExit.OK;
}

/**
 * Runs `work`. For a monitoring system, exit code 1 is a warning about the node: a run that failed,
 * or whose result could not be written, ends with UNKNOWN, also if one of its reads hangs.
 */
async function orUnknown(work: () => Promise<number>): Promise<number> {
  try {
    return leave(await work());
  } catch (error) {
    const isFailure = error instanceof CommandFailure;
    if (isFailure && error.exitCode !== ExitCode.FAILURE) {
      leave(error.exitCode);
      throw error;
    }
    const why = isFailure ? error.message : `unexpected error: ${errorText(error)}`;
    leave(CheckExit.UNKNOWN);
    throw new CommandFailure(why, CheckExit.UNKNOWN);
  }
}

/** Throws UsageFailure for an option of the report, which --clean-stale does not make. */
function demandNoReport(format: Format | undefined, values: ReportFiles): void {
  const files = (["output", "bundle"] as const).filter((name) => values[name] !== undefined);
  const [option] = [...(format === undefined || format === "json" ? [] : [format]), ...files];
  if (option === undefined) return;
  throw new UsageFailure(`--${option} and --clean-stale: only one of them`);
}

/** The checks that run, for the line of progress. */
function laneText(checks: readonly CheckName[]): string {
  return `checks ${checks.map((check) => CHECKS[check]).join(", ")}`;
}

type Shown = ReportFiles & Readonly<Record<"noColor" | "verbose", boolean>>;

/** Runs the checks and shows the report; the report is also shown if the bundle fails. */
async function examine(
  options: CheckOptions,
  selection: Selection,
  format: Format | undefined,
  { bundle, output, noColor, verbose }: Shown,
): Promise<number> {
  using progress = new Progress();
  const onLane = (checks: readonly CheckName[]): void => progress.show(laneText(checks));
  const machine = localMachine({}, selfCommand());
  const report = await runCheck(machine, options, selection, onLane);
  let failure: unknown;
  if (bundle !== undefined) {
    await writeBundle(report, bundle, progress).catch((error: unknown) => (failure = error));
  }
  progress.clear();
  const rendered = render(report, format, { plain: noColor || output !== undefined, verbose });
  if (output === undefined) print(rendered);
  else writeFile(output, rendered);
  if (failure !== undefined) throw failure;
  return report.exitCode;
}

export const checkCommand = command({
  name: "check",
  summary: "Diagnose the IPC and /etc/pve of this host, with any server",
  details: [
    "Checks the caller, the socket, the server, its answers, /dev/shm, the node name, " +
      "/etc/pve, quorum, config.db, rrdcached and the host, and changes nothing. The first and " +
      "the last line are the verdict and its fix: a command that is safe to paste. If no command " +
      "is safe, the report says what to do by hand.",
    "`pmxcfs-ipc --check` is the same. All codes: docs/diagnosis.md, or `explain CODE`.",
  ],
  examples: [
    ["--check", "the whole report"],
    ["--check --only database,rrd", "two checks"],
    ["--check --skip SHM_LOW --nagios", "for a monitoring system, without one warning"],
    [
      "--check --openmetrics --output /var/lib/prometheus/node-exporter/pmxcfs-ipc.prom",
      "for node_exporter",
    ],
    ["--check --bundle node1.tar.gz", "everything that support asks for, in one file"],
    ["--check --clean-stale --dry-run", "what killed servers left in /dev/shm"],
  ],
  exits: [
    [CheckExit.OK, "No problem found (there may be notices)"],
    [CheckExit.WARNING, "Warnings"],
    [CheckExit.CRITICAL, "Failures, or wrong usage"],
    [CheckExit.UNKNOWN, "Nothing could be checked, or the result could not be written"],
  ],
  options: {
    socket: text({
      description: "Service name to diagnose",
      hint: "NAME",
      default: DEFAULT_OPTIONS.service,
    }),
    only: list({ description: "Report only this check or code", hint: "CODE" }),
    skip: list({ description: "Check or code to leave out", hint: "CODE" }),
    deadline: milliseconds({
      description: "Time limit of one check",
      default: DEFAULT_OPTIONS.deadlineMs,
      min: 100,
    }),
    totalDeadline: milliseconds({
      description: "Time limit of all checks",
      default: DEFAULT_OPTIONS.totalMs,
      min: 100,
    }),
    rounds: count({
      description: "Round trips of the latency check",
      default: DEFAULT_OPTIONS.rounds,
      min: 1,
      max: 1_000_000,
    }),
    json: flag({
      description: "Print the report as JSON, or with --clean-stale the directories",
      group: OUTPUT,
    }),
    verbose: flag({ description: "Show passed and skipped checks, too", group: OUTPUT }),
    quiet: flag({ description: "Show only problems", alias: "q", group: OUTPUT }),
    nagios: flag({ description: "Print one line for a monitoring plugin", group: OUTPUT }),
    checkmk: flag({ description: "Print lines for a Checkmk local check", group: OUTPUT }),
    openmetrics: flag({ description: "Print metrics for a textfile collector", group: OUTPUT }),
    output: path({ description: "File to write instead of stdout", group: OUTPUT }),
    bundle: path({
      description: "Write a support bundle (.tar.gz): findings, logs, state, without secrets",
      hint: "FILE",
      group: OUTPUT,
    }),
    noColor: flag({ description: "No colours", group: OUTPUT }),
    cleanStale: flag({ description: "Check nothing; remove what dead servers left in /dev/shm" }),
    dryRun: flag({ description: "With --clean-stale: only list what would be removed" }),
  },
  async run(values) {
    const format = formatOf(values);
    if (values.dryRun && !values.cleanStale) {
      throw new UsageFailure("--dry-run needs --clean-stale");
    }
    if (values.cleanStale) {
      demandNoReport(format, values);
      return await orUnknown(() => clean(values.socket, values.dryRun, values.json));
    }
    const options = {
      service: values.socket,
      deadlineMs: values.deadline,
      totalMs: values.totalDeadline,
      rounds: values.rounds,
    };
    const only = names(values.only, "--only");
    const skip = names(values.skip, "--skip");
    return await orUnknown(() => examine(options, { only, skip }, format, values));
  },
});
