/**
 * `pmxcfs-ipc config`: builds a config.db, gets files back out of one, lists, prints, checks.
 * Works on the file alone, whoever else has it open; never writes one that exists, unless told.
 */
import { escapeText } from "../base/escape.ts";
import {
  importDirectory,
  verifyDatabase,
  verifyDirectory,
  type Verdict,
} from "../pmxcfs/rescue/config-tools.ts";
import { exportTree } from "../pmxcfs/rescue/export.ts";
import { mountMode } from "../pmxcfs/store/file-modes.ts";
import { salvage, type Salvaged, type SalvagedItem } from "../pmxcfs/rescue/salvage.ts";
import { flag, path as pathOption, text } from "./args.ts";
import { command, commandGroup } from "./command.ts";
import { compactCommand, flushCommand } from "./config-upkeep.ts";
import { CommandFailure, ExitCode, UsageFailure } from "./failure.ts";
import { print } from "./terminal.ts";

const DEFAULT_DB = "/var/lib/pve-cluster/config.db";

const database = pathOption({
  description: "The database",
  hint: "FILE",
  default: DEFAULT_DB,
});

/** Bytes of a name for a terminal: UTF-8 as it is, everything else as \xNN. */
function showName(name: string): string {
  const bytes = Buffer.from(name, "latin1");
  const decoded = bytes.toString("utf8");
  if (!decoded.includes("\uFFFD")) return escapeText(decoded);
  return bytes
    .toString("latin1")
    .replaceAll(/[^ -~]/g, (each) => `\\x${Buffer.from(each, "latin1").toString("hex")}`);
}

function warn(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** What of the database can be had; what is wrong goes to stderr. */
function read(file: string): Salvaged {
  const salvaged = salvage(file);
  const { items, problems, rows } = salvaged;
  if (rows.length === 0) throw new CommandFailure(`${file}: ${problems[0] ?? "nothing in it"}`);
  for (const problem of problems) warn(`${file}: ${showName(problem)}`);
  return { items, problems, rows };
}

/** A command line's word as names: bytes as latin1, slashes at will. */
function namesOf(word: string): string[] {
  const names = Buffer.from(word, "utf8").toString("latin1").split("/");
  return names.filter((name) => name !== "");
}

function isBelow({ path }: SalvagedItem, above: readonly string[]): boolean {
  return above.every((name, index) => path[index] === name);
}

const importCommand = command({
  name: "import",
  summary: "Make a config.db that pmxcfs loads, of a directory that is /etc/pve",
  details: [
    "Symlinks, FIFOs, sockets, devices, files over 1 MiB and the files that pmxcfs makes itself " +
      "(.version, .members, ...) are left out and named on stderr.",
  ],
  examples: [["config import ./etc-pve --db ./config.db", "for a test rig"]],
  options: {
    db: pathOption({ description: "The database to make", hint: "FILE", required: true }),
    force: flag({ description: "Put it in the place of one that exists" }),
  },
  operands: {
    dir: pathOption({ description: "The directory", hint: "DIR", required: true }),
  },
  run: ({ db, force, dir }) => {
    const imported = importDirectory(dir, db, { replace: force });
    if (typeof imported === "string") throw new CommandFailure(imported);
    for (const { path, reason } of imported.leftOut)
      warn(`left out: ${showName(path)} (${reason})`);
    print(`${db}: ${imported.files} files in ${imported.directories} directories\n`);
  },
});

const exportCommand = command({
  name: "export",
  summary: "Write the files of a config.db into an empty directory",
  details: [
    "Modes are those of the mounted /etc/pve: private files 0600, others 0640, and for root the " +
      "group www-data. A damaged database gives what can be had of it; what has no place in the " +
      "tree comes under lost+found, and stderr says what is wrong.",
  ],
  examples: [["config export --db /mnt/var/lib/pve-cluster/config.db ./rescued", "a dead node"]],
  exits: [[1, "Something could not be had or written; the rest is there"]],
  options: { db: database },
  operands: {
    dir: pathOption({ description: "Where to; empty or not there", hint: "DIR", required: true }),
  },
  run: ({ db, dir }) => {
    const { items, problems } = read(db);
    const exported = exportTree(items, dir);
    if (typeof exported === "string") throw new CommandFailure(exported);
    for (const failure of exported.failures) warn(`not written: ${failure}`);
    print(`${dir}: ${exported.files} files in ${exported.directories} directories\n`);
    return problems.length + exported.failures.length === 0 ? ExitCode.OK : ExitCode.FAILURE;
  },
});

function longLine({ path, row, kind }: SalvagedItem): string {
  const mode = mountMode(path, kind).toString(8).padStart(4, "0");
  const time = new Date(row.mtime * 1000).toISOString().slice(0, 19);
  const size = String(row.data.length).padStart(8);
  return `${mode} ${size} ${time}Z v${row.version} `;
}

const lsCommand = command({
  name: "ls",
  summary: "List what a config.db holds",
  details: ["Directories end in a slash. Bytes that are no UTF-8 are shown as \\xNN."],
  options: {
    db: database,
    long: flag({ alias: "l", description: "Mode, size, time (UTC) and version of each" }),
  },
  operands: { path: text({ description: "Only this and what is below", hint: "PATH" }) },
  run: ({ db, long, path }) => {
    const above = namesOf(path ?? "");
    const items = read(db).items.filter((item) => isBelow(item, above));
    if (items.length === 0 && above.length > 0) {
      throw new CommandFailure(`${db}: no ${path ?? ""} in it`);
    }
    const lines = items.map((item) => {
      const slash = item.kind === "directory" ? "/" : "";
      return `${long ? longLine(item) : ""}${showName(item.path.join("/"))}${slash}\n`;
    });
    print(lines.join(""));
  },
});

const catCommand = command({
  name: "cat",
  summary: "Print a file of a config.db",
  options: { db: database },
  operands: { path: text({ description: "Which", hint: "PATH", required: true }) },
  run: ({ db, path }) => {
    const wanted = namesOf(path);
    const found = read(db).items.find(
      (item) => item.path.length === wanted.length && isBelow(item, wanted),
    );
    if (found === undefined) throw new CommandFailure(`${db}: no ${path} in it`);
    if (found.kind === "directory") throw new CommandFailure(`${db}: ${path} is a directory`);
    print(found.row.data);
  },
});

const verifyCommand = command({
  name: "verify",
  summary: "Say whether pmxcfs would load a config.db, or what of a directory would be served",
  details: ["Problems keep the C server from starting; notes do not."],
  exits: [[1, "There are problems"]],
  options: {
    db: pathOption({ description: `The database (default ${DEFAULT_DB})`, hint: "FILE" }),
    dir: pathOption({ description: "Instead of a database: a directory to serve", hint: "DIR" }),
  },
  run: ({ db, dir }) => {
    if (db !== undefined && dir !== undefined) throw new UsageFailure("--db or --dir, not both");
    const verdict = dir === undefined ? verifyDatabase(db ?? DEFAULT_DB) : verifyDirectory(dir);
    if (typeof verdict === "string") throw new CommandFailure(verdict);
    print(describe(verdict, dir ?? db ?? DEFAULT_DB));
    return verdict.problems.length === 0 ? ExitCode.OK : ExitCode.FAILURE;
  },
});

function describe({ problems, notes, files, directories, bytes }: Verdict, what: string): string {
  const lines = [
    ...problems.map((problem) => `problem: ${showName(problem)}`),
    ...notes.map((note) => `note: ${showName(note)}`),
    `${what}: ${files} files in ${directories} directories, ${bytes} bytes: ` +
      (problems.length === 0 ? "sound" : `${problems.length} problems`),
  ];
  return lines.map((line) => `${line}\n`).join("");
}

export const configCommand = commandGroup(
  {
    name: "config",
    summary: "Build, rescue, list and check a config.db",
  },
  {
    import: async () => importCommand,
    export: async () => exportCommand,
    ls: async () => lsCommand,
    cat: async () => catCommand,
    verify: async () => verifyCommand,
    flush: async () => flushCommand,
    compact: async () => compactCommand,
  },
);
