/**
 * `pmxcfs-ipc config`: makes a config.db, exports files from one, lists, prints, checks and
 * compares it. The commands in this file only read: they change and make no file beside the
 * database, even while another process has it open. Those that write are in config-write.ts,
 * config-backup.ts and config-upkeep.ts.
 */
import { exportTree } from "../pmxcfs/rescue/export.ts";
import { readAtRest } from "../pmxcfs/rescue/read-at-rest.ts";
import { salvage, type Salvaged, type SalvagedItem } from "../pmxcfs/rescue/salvage.ts";
import {
  judgeDatabase,
  type Problem,
  problemLine,
  type Verdict,
  verifyDatabase,
} from "../pmxcfs/rescue/verify.ts";
import { type DirectoryVerdict, verifyDirectory } from "../pmxcfs/rescue/verify-directory.ts";
import { permissionsOf } from "../pmxcfs/state/modes.ts";
import { pathParts } from "../pmxcfs/state/private-path.ts";
import { flag, path as pathOption, text } from "./args.ts";
import { command, commandGroup } from "./command.ts";
import { CommandFailure, ExitCode, UsageFailure } from "./failure.ts";
import { belowPve, similarPath } from "./pve-path.ts";
import { print, printFile, printLine } from "./terminal.ts";
import { escapeText, jsonText } from "../base/escape.ts";
import { counted } from "../base/counted.ts";
import { DEFAULT_DB } from "./config-options.ts";
import { showName, warn } from "./config-text.ts";

/** Longer paths are shortened: a database may have thousands of nested directories. */
const SHOWN_BYTES = 1024;
/** Most lines of one kind on stderr; the others are only counted. */
const SHOWN_LINES = 50;

const database = pathOption({
  description: "Database, or an SQL dump of one, gzipped or not",
  hint: "FILE",
  default: DEFAULT_DB,
});

/** Writes at most SHOWN_LINES lines, and the number of the others. */
function warnAll(file: string, lines: readonly string[]): void {
  for (const line of lines.slice(0, SHOWN_LINES)) warn(`${file}: ${showName(line)}`);
  const more = lines.length - SHOWN_LINES;
  if (more > 0) warn(`${file}: ${more} more of this kind`);
}

interface Read extends Salvaged {
  /** True if the C server would not start with the database, or would not show all of it. */
  readonly isUnsound: boolean;
}

/** Reads everything readable in the database; problems and notes go to stderr. */
function read(file: string): Read {
  const salvaged = salvage(file, readAtRest);
  const { problems, notes } = judgeDatabase(salvaged.database);
  if (salvaged.items.length === 0 && problems[0] !== undefined) {
    throw new CommandFailure(`${file}: ${showName(problems[0].text)}`);
  }
  warnAll(file, problems.map(problemLine));
  warnAll(file, notes);
  return { ...salvaged, isUnsound: problems.length > 0 };
}

/**
 * The names in a path from the command line, as latin1. Extra slashes and /etc/pve are removed.
 */
function namesOf(word: string): string[] {
  return pathParts(Buffer.from(belowPve(word), "utf8").toString("latin1"));
}

/** The item at a path and all items below it; `items` are in depth-first order. */
function below(items: readonly SalvagedItem[], names: readonly string[]): readonly SalvagedItem[] {
  if (names.length === 0) return items;
  const at = items.findIndex(
    (item) =>
      item.level === names.length && item.path.every((name, index) => name === names[index]),
  );
  const top = items[at];
  if (top === undefined) return [];
  const end = items.findIndex((item, index) => index > at && item.level <= top.level);
  return items.slice(at, end < 0 ? items.length : end);
}

/** The failure for a path that does not exist, with a similar path. */
function noSuchPath(file: string, word: string, items: readonly SalvagedItem[]): CommandFailure {
  const paths = items
    .filter(({ pathBytes }) => pathBytes < SHOWN_BYTES)
    .map((item) => item.path.join("/"));
  const meant = similarPath(Buffer.from(word, "utf8").toString("latin1"), paths);
  const hint = meant === undefined ? "" : ` (did you mean "${showName(meant)}"?)`;
  return new CommandFailure(`${file}: no ${word} in it${hint}`);
}

/** Exit code of an export that lacks files of the database: it must not be imported again. */
const INCOMPLETE = 3;

const exportCommand = command({
  name: "export",
  summary: "Write the files of a config.db into an empty directory",
  details: [
    "Modes are those of the mounted /etc/pve: 0600 for private files, 0640 for others, and, if " +
      "root runs it, group www-data. From a damaged database, everything readable is exported, " +
      "also from its -wal. Entries without a place in the tree go to lost+found; two directories " +
      "with the same name are merged; every changed name is reported. The database is only read.",
  ],
  examples: [["config export --db /mnt/var/lib/pve-cluster/config.db ./rescued", "a dead node"]],
  exits: [
    [1, "Part of the database could not be read, or is damaged"],
    [INCOMPLETE, "A file could not be written: the target is incomplete"],
  ],
  options: { db: database },
  operands: {
    dir: pathOption({
      description: "Target directory: empty or new",
      hint: "DIR",
      required: true,
    }),
  },
  run: ({ db, dir }) => {
    const { items, moved, isUnsound } = read(db);
    const exported = exportTree(items, dir);
    if (typeof exported === "string") throw new CommandFailure(exported);
    warnAll(db, moved);
    warnAll(
      dir,
      exported.failures.map((failure) => `not written: ${failure}`),
    );
    const { files, directories, failures } = exported;
    printLine(`${dir}: ${counted(files, "file")} in ${counted(directories, "directory")}`);
    if (failures.length > 0) return INCOMPLETE;
    return isUnsound ? ExitCode.FAILURE : ExitCode.OK;
  },
});

/** Mode in octal, and size in bytes. */
function attributesOf({ path, row, kind }: SalvagedItem): { mode: string; size: number } {
  return {
    mode: permissionsOf(path.join("/"), kind).toString(8).padStart(4, "0"),
    size: kind === "file" ? (row.omitted ?? row.data.length) : 0,
  };
}

function longLine(item: SalvagedItem): string {
  const { mode, size } = attributesOf(item);
  const time = new Date(item.row.mtime * 1000).toISOString().slice(0, 19);
  return `${mode} ${String(size).padStart(8)} ${time}Z v${item.row.version} `;
}

function jsonLine(item: SalvagedItem): string {
  const { kind, row } = item;
  const { mtime, version } = row;
  const path = showName(item.path.join("/"));
  return `${jsonText({ path, type: kind, ...attributesOf(item), mtime, version })}\n`;
}

/** A path for display; if it is too long, its last name and the number of levels above. */
function shownPath(item: SalvagedItem): string {
  if (item.pathBytes <= SHOWN_BYTES) return showName(item.path.join("/"));
  return `... ${item.level - 1} levels .../${showName(item.name)}`;
}

const lsCommand = command({
  name: "ls",
  summary: "List the contents of a config.db",
  details: [
    "Directories end with a slash. Bytes that are not UTF-8 are shown as \\xNN. Paths are those " +
      "that `config export` would write.",
  ],
  options: {
    db: database,
    long: flag({ alias: "l", description: "Show mode, size, time (UTC) and version, too" }),
    json: flag({ description: "Print JSON, one object per line" }),
  },
  operands: { path: text({ description: "List only this path and those below it", hint: "PATH" }) },
  run: ({ db, long, json, path }) => {
    if (json && long) throw new UsageFailure("--json and --long: only one of them");
    const above = namesOf(path ?? "");
    const { items } = read(db);
    const found = below(items, above);
    if (found.length === 0 && above.length > 0) throw noSuchPath(db, path ?? "", items);
    let lines: string[] = [];
    for (const item of found) {
      const slash = item.kind === "directory" ? "/" : "";
      const line = `${long ? longLine(item) : ""}${shownPath(item)}${slash}\n`;
      lines.push(json ? jsonLine(item) : line);
      if (lines.length < 1000) continue;
      print(lines.join(""));
      lines = [];
    }
    print(lines.join(""));
  },
});

const catCommand = command({
  name: "cat",
  summary: "Print a file of a config.db",
  options: { db: database },
  operands: { path: text({ description: "Path below /etc/pve", hint: "PATH", required: true }) },
  run: ({ db, path }) => {
    const { items } = read(db);
    const names = namesOf(path);
    const found = names.length === 0 ? undefined : below(items, names)[0];
    if (found === undefined) throw noSuchPath(db, path, items);
    if (found.kind === "directory") throw new CommandFailure(`${db}: ${path} is a directory`);
    const { data, omitted } = found.row;
    if (omitted !== undefined) {
      throw new CommandFailure(`${db}: the ${omitted} bytes of ${path} are not read: too many`);
    }
    printFile(data);
  },
});

const verifyCommand = command({
  name: "verify",
  summary: "Check whether pmxcfs would load a config.db, or what would be served from a directory",
  details: [
    "With a problem (in the words of the C server's log) pmxcfs does not start, or starts with " +
      "an empty /etc/pve; a note has neither effect. The database is only read.",
  ],
  exits: [[1, "There are problems"]],
  options: {
    db: pathOption({ description: `Database (default: ${DEFAULT_DB})`, hint: "FILE" }),
    dir: pathOption({ description: "Check a directory to serve instead", hint: "DIR" }),
    json: flag({ description: "Print one JSON object" }),
  },
  run: ({ db, dir, json }) => {
    if (db !== undefined && dir !== undefined) throw new UsageFailure("--db or --dir, not both");
    const verdict = dir === undefined ? verifyDatabase(db ?? DEFAULT_DB) : verifyDirectory(dir);
    if (typeof verdict === "string") throw new CommandFailure(verdict);
    print(json ? inJson(verdict) : describe(verdict, dir ?? db ?? DEFAULT_DB));
    return verdict.problems.length === 0 ? ExitCode.OK : ExitCode.FAILURE;
  },
});

/** What both verdicts have, and what only that on a database has. */
interface Shown
  extends Omit<DirectoryVerdict, "problems">, Partial<Pick<Verdict, "format" | "wal">> {
  readonly problems: readonly (Pick<Problem, "text"> & Partial<Problem>)[];
}

function describe({ problems, notes, files, directories, bytes }: Shown, what: string): string {
  const lines = [
    ...problems.map((problem) => `problem: ${showName(problemLine(problem))}`),
    ...notes.map((note) => `note: ${showName(note)}`),
    `${escapeText(what)}: ${counted(files, "file")} in ${counted(directories, "directory")}, ` +
      `${counted(bytes, "byte")}: ` +
      (problems.length === 0 ? "sound" : counted(problems.length, "problem")),
  ];
  return lines.map((line) => `${line}\n`).join("");
}

function inJson(verdict: Shown): string {
  const { problems, notes, files, directories, bytes, format, wal } = verdict;
  const shown = {
    schema_version: 1,
    sound: problems.length === 0,
    problems: problems.map(({ kind, text: line, path }) => {
      return { kind, text: showName(line), path: path === undefined ? undefined : showName(path) };
    }),
    notes: notes.map(showName),
    files,
    directories,
    bytes,
    format,
    wal,
  };
  return `${jsonText(shown, 2)}\n`;
}

export const configCommand = commandGroup(
  {
    name: "config",
    summary: "Make, rescue, list, compare, check and back up a config.db",
  },
  {
    import: async () => (await import("./config-write.ts")).importCommand,
    export: async () => exportCommand,
    ls: async () => lsCommand,
    cat: async () => catCommand,
    verify: async () => verifyCommand,
    backup: async () => (await import("./config-backup.ts")).backupCommand,
    restore: async () => (await import("./config-backup.ts")).restoreCommand,
    flush: async () => (await import("./config-upkeep.ts")).flushCommand,
    compact: async () => (await import("./config-upkeep.ts")).compactCommand,
    diff: async () => (await import("./config-diff.ts")).diffCommand,
    "rename-node": async () => (await import("./config-write.ts")).renameNodeCommand,
  },
);
