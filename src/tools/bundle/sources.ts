/**
 * The parts of a support bundle: facts, and texts with masked secrets, never the contents of files
 * below /etc/pve. A part that cannot be read contains the error instead.
 */
import { COROSYNC_CONF, HISTORY_DATABASE, PVE } from "../../base/paths.ts";
import { counted } from "../../base/counted.ts";
import { createHash } from "node:crypto";
import { errorText } from "../../base/error-text.ts";
import { maskSecrets } from "../../base/mask-secrets.ts";
import { escapeLines, jsonText } from "../../base/escape.ts";
import { buildInfo } from "../../base/version.ts";
import { runCommand } from "../../platform/command.ts";
import { readRegularFile } from "../../platform/regular-file.ts";
import { History } from "../../pmxcfs/history/reader.ts";
import { salvage } from "../../pmxcfs/rescue/salvage.ts";
import { readAtRest } from "../../pmxcfs/rescue/read-at-rest.ts";
import { problemLine, verifyDatabase } from "../../pmxcfs/rescue/verify.ts";
import { pathIsPrivate } from "../../pmxcfs/state/private-path.ts";
import { changeJson, showPath } from "../history/listing.ts";

/** One file of the bundle. */
export interface Part {
  /** Path in the bundle. */
  readonly name: string;
  /** What it is, for the index page. */
  readonly about: string;
  readonly text: string;
}

export interface BundlePaths {
  readonly database: string;
  readonly history: string;
  readonly corosyncConf: string;
}

export const BUNDLE_PATHS: BundlePaths = {
  database: PVE.database,
  history: HISTORY_DATABASE,
  corosyncConf: COROSYNC_CONF,
};

/** A command must have ended within this, ms. */
const COMMAND_MS = 5_000;
/** Size limit of a part; the end is kept, because it matters most in logs. */
const MOST_BYTES = 1024 * 1024;
/** Age of the history's changes that are included, ms. */
const HISTORY_MS = 24 * 3_600_000;

/** Names of files with secret content, whose digest would reveal a short one. */
const SECRET_FILE = /\.(?:key|pem\.key|pw|p12|pfx|cred|keyring)(?:$|[.~_-])/i;

function lastBytes(text: string): string {
  return text.length <= MOST_BYTES ? text : `(the beginning is cut)\n${text.slice(-MOST_BYTES)}`;
}

/** What a command wrote; a line with the reason if it cannot run, or does not end in time. */
async function run(words: readonly string[]): Promise<{ text: string; isLate: boolean }> {
  const [name = ""] = words;
  const options = { deadlineMs: COMMAND_MS, env: { LC_ALL: "C.UTF-8" } };
  const { code, out, error, timedOut, missing } = await runCommand(words, options);
  if (missing) return { text: `${name} is not installed\n`, isLate: false };
  // The reason why it has no exit code is a line.
  const end = code === undefined ? "\n" : "";
  const why = timedOut ? `${name} did not end within ${COMMAND_MS} ms` : "";
  return { text: lastBytes(out + error + why + end), isLate: timedOut };
}

async function output(...words: string[]): Promise<string> {
  return (await run(words)).text;
}

function file(path: string): string {
  try {
    return readRegularFile(path).toString("utf8");
  } catch (error) {
    return `${errorText(error)}\n`;
  }
}

function safe(text: string): string {
  return escapeLines(maskSecrets(text));
}

async function versions(): Promise<string> {
  const packages = ["pve-cluster", "corosync", "libqb100", "libcpg4", "pve-manager", "rrdcached"];
  const format = "${Package} ${Version} ${Status}\\n";
  return [
    `pmxcfs-ipc ${JSON.stringify(buildInfo)}\n`,
    await output("uname", "-a"),
    file("/etc/os-release"),
    await output("dpkg-query", "--show", `--showformat=${format}`, ...packages),
  ].join("\n");
}

async function journal(unit: string): Promise<string> {
  const words = ["--unit", unit, "--lines", "5000", "--no-pager", "--output", "short-iso-precise"];
  return await output("journalctl", ...words);
}

/** Path, kind, size, time and digest of every entry, without contents. */
function treeListing(database: string): string {
  const { items, database: read } = salvage(database, readAtRest);
  const problem = read.problem === undefined ? [] : [`problem: ${read.problem.text}`];
  const lines = items.map(({ path, kind, row }) => {
    const name = path.join("/");
    const hidden = kind === "directory" || pathIsPrivate(name) || SECRET_FILE.test(name);
    const digest = hidden ? "-" : createHash("sha256").update(row.data).digest("hex");
    const time = new Date(row.mtime * 1000).toISOString();
    return `${kind} ${row.data.length} ${row.version} ${time} ${digest} ${showPath(name)}`;
  });
  return `${[...problem, ...lines].join("\n")}\n`;
}

function state(database: string): string {
  const { problems, notes, files, directories, bytes } = verifyDatabase(database);
  return [
    `${database}: ${counted(files, "file")} in ${counted(directories, "directory")}, ` +
      counted(bytes, "byte"),
    ...problems.map((problem) => `problem: ${problemLine(problem)}`),
    ...notes.map((note) => `note: ${note}`),
    "",
  ].join("\n");
}

/** Changes of the last day, without contents; digests of private files are left out. */
function recentChanges(path: string): string {
  const history = History.open(path);
  if (typeof history === "string") return `${history}\n`;
  using opened = history;
  return opened
    .changes({ sinceMs: Date.now() - HISTORY_MS })
    .map((change) => {
      const hidden = change.isPrivate || SECRET_FILE.test(change.to ?? change.path);
      return `${jsonText({ ...changeJson(change), ...(hidden ? { sha256: null } : {}) })}\n`;
    })
    .join("");
}

/** The text made from a file that a child reads first: a hung disk must not block this process. */
async function attempt(path: string, make: (path: string) => string): Promise<string> {
  const words = ["dd", `if=${path}`, "of=/dev/null", "bs=1M", "iflag=nonblock", "status=none"];
  if ((await run(words)).isLate) return `${path} could not be read in time\n`;
  try {
    return make(path);
  } catch (error) {
    return `${errorText(error)}\n`;
  }
}

function part(name: string, about: string, text: string): Part {
  return { name, about, text: safe(text) };
}

/** All parts except the check's own report. */
export async function collectParts(paths: BundlePaths): Promise<Part[]> {
  const { database, history, corosyncConf } = paths;
  return [
    part("versions.txt", "Versions of programs and packages", await versions()),
    part("logs/pve-cluster.log", "Journal of pve-cluster", await journal("pve-cluster")),
    part("logs/corosync.log", "Journal of corosync", await journal("corosync")),
    part("corosync/corosync.conf", "corosync's configuration", file(corosyncConf)),
    part("corosync/quorum.txt", "corosync-quorumtool", await output("corosync-quorumtool", "-s")),
    part("corosync/rings.txt", "corosync-cfgtool", await output("corosync-cfgtool", "-s")),
    part(
      "config-db/verify.txt",
      "What pmxcfs would do with config.db",
      await attempt(database, state),
    ),
    part(
      "config-db/tree.txt",
      "Entries with size, version, time and digest",
      await attempt(database, treeListing),
    ),
    part("history.jsonl", "Changes of the last day", await attempt(history, recentChanges)),
    part("system/mounts.txt", "Mounts", file("/proc/self/mounts")),
    part("system/memory.txt", "Memory", file("/proc/meminfo")),
    part(
      "system/space.txt",
      "Free space",
      await output("df", "-h", "/dev/shm", "/var/lib", "/run"),
    ),
    part("system/sockets.txt", "Unix sockets", file("/proc/net/unix")),
  ];
}
