/**
 * `pmxcfs-ipc history`: lists who changed what below /etc/pve and when, and shows, compares and
 * restores old versions of files.
 */
import { counted } from "../base/counted.ts";
import { writeFileAtomically } from "../platform/atomic-file.ts";
import { escapeText, jsonText } from "../base/escape.ts";
import { exportTree } from "../pmxcfs/rescue/export.ts";
import type { ChangeFilter, History, KeptChange } from "../pmxcfs/history/reader.ts";
import { SalvagedItem } from "../pmxcfs/rescue/salvage.ts";
import { unifiedDiff } from "../tools/history/diff.ts";
import { historyPage } from "../tools/history/page.ts";
import { changeJson, listingText, showPath, showTime } from "../tools/history/listing.ts";
import { count, path as pathOption, text, type Values } from "./args.ts";
import { command, commandGroup } from "./command.ts";
import { CommandFailure, ExitCode, UsageFailure } from "./failure.ts";
import {
  contentOf,
  historyFile,
  json,
  moment,
  openHistory,
  parseTarget,
  secrets,
  stateOf,
  target,
  treePath,
} from "./history-options.ts";
import { restoreCommand } from "./history-restore.ts";
import { print, printFile, printLine, stdoutStyle } from "./terminal.ts";

const NOTHING = new Uint8Array(0);

const listOptions = {
  history: historyFile,
  since: text({ description: "Only changes since then: 2h, 14:30, 2026-11-26", hint: "TIME" }),
  until: text({ description: "Only changes until then", hint: "TIME" }),
  node: count({ description: "Only changes made by the node with this id", hint: "ID" }),
  most: count({ description: "List at most this many changes, the newest", default: 200, min: 1 }),
  json,
};

/** The part of a search that all lists have. */
function filterOf({
  since,
  until,
  node,
  most,
}: Pick<Values<typeof listOptions>, "since" | "until" | "node" | "most">): ChangeFilter {
  return {
    sinceMs: moment(since, "--since"),
    untilMs: moment(until, "--until"),
    writer: node,
    most,
  };
}

function printChanges(changes: readonly KeptChange[], asJson: boolean): number {
  if (changes.length === 0) {
    process.stderr.write("the history has no such change\n");
    return ExitCode.FAILURE;
  }
  const lines = () => changes.map((change) => `${jsonText(changeJson(change))}\n`);
  print(asJson ? lines().join("") : listingText(changes));
  return ExitCode.OK;
}

const listCommand = command({
  name: "list",
  summary: "List the changes of /etc/pve, or of one path and those below it",
  details: [
    "Changes within half a second of each other that belong together (a temporary file, its " +
      "writes, its rename) are shown as one line with all their versions.",
  ],
  examples: [
    ["history --since 2h", "what happened in the last two hours"],
    ["history storage.cfg", "every version of a file"],
    ["history --html changes.html", "the same as a page for a browser"],
  ],
  exits: [[1, "No change was found"]],
  options: {
    ...listOptions,
    html: pathOption({ description: "Write a page for a browser instead", hint: "FILE" }),
    secrets,
  },
  operands: { path: text({ description: "List only this path and those below it", hint: "PATH" }) },
  run({ history: file, json: asJson, path, html, secrets: all, ...listed }) {
    using history = openHistory(file);
    const changes = history.changes({
      path: path === undefined ? undefined : treePath(path),
      ...filterOf(listed),
    });
    if (html === undefined) return printChanges(changes, asJson);
    const page = historyPage(history, changes, { showSecrets: all });
    const problem = writeFileAtomically(html, page, 0o600);
    if (problem !== undefined) throw new CommandFailure(`--html: ${problem}`);
    printLine(`${html}: ${counted(changes.length, "change")}`);
    return ExitCode.OK;
  },
});

const guestCommand = command({
  name: "guest",
  summary: "List the changes of a guest's configuration, on any node",
  exits: [[1, "No change was found"]],
  options: listOptions,
  operands: { vmid: count({ description: "Id of the guest", required: true }) },
  run({ history: file, json: asJson, vmid, ...listed }) {
    using history = openHistory(file);
    return printChanges(history.changes({ guest: vmid, ...filterOf(listed) }), asJson);
  },
});

const showCommand = command({
  name: "show",
  summary: "Print a file as it was at a version",
  options: { history: historyFile },
  operands: { target },
  run({ history: file, target: word }) {
    using history = openHistory(file);
    const { path, version } = parseTarget(word);
    printFile(contentOf(history, path, stateOf(history, path, version)));
  },
});

/** The versions in `A..B`, `A..`, `..B` or `A`. */
function parseRange(word: string | undefined): [number | undefined, number | undefined] {
  if (word === undefined) return [undefined, undefined];
  const found = /^(\d*)(\.\.)?(\d*)$/.exec(word);
  if (found === null || word === "..") {
    throw new UsageFailure(`"${word}" is not a range of versions such as 120..125`);
  }
  const [, from = "", dots, to = ""] = found;
  if (dots === undefined) return [Number(from), undefined];
  return [from === "" ? undefined : Number(from), to === "" ? undefined : Number(to)];
}

function colored(diff: string): string {
  const style = stdoutStyle();
  if (!style.color) return diff;
  const paint = (line: string): string => {
    if (line.startsWith("+++") || line.startsWith("---")) return style.bold(line);
    if (line.startsWith("@@")) return style.cyan(line);
    if (line.startsWith("+")) return style.green(line);
    return line.startsWith("-") ? style.red(line) : line;
  };
  return diff.split("\n").map(paint).join("\n");
}

const diffCommand = command({
  name: "diff",
  summary: "Compare two versions of a file, by default the last two",
  details: ["Values of passwords, tokens and keys are masked unless --secrets is given."],
  exits: [[1, "The versions differ, or one of them was not kept"]],
  options: { history: historyFile, secrets },
  operands: {
    path: text({ description: "Path below /etc/pve", hint: "PATH", required: true }),
    range: text({ description: "Versions of the tree, the first one excluded", hint: "A..B" }),
  },
  run({ history: file, secrets: all, path: word, range }) {
    using history = openHistory(file);
    const path = treePath(word);
    const [from, to] = parseRange(range);
    const after = history.stateAt(path, to);
    if (after === undefined) throw new CommandFailure(`${word}: not in the history`);
    const before = history.stateAt(path, from ?? after.firstVersion - 1);
    const side = (state: KeptChange | undefined) => ({
      label: `${showPath(path)}@${state?.version ?? 0}`,
      bytes:
        state === undefined || state.kind === "remove" || (state.to ?? state.path) !== path
          ? undefined
          : contentOf(history, path, state),
    });
    const diff = unifiedDiff(side(before), side(after), all);
    print(colored(diff));
    return diff === "" ? ExitCode.OK : ExitCode.FAILURE;
  },
});

/** The tree at a point in time, for exportTree; `missing`: number of files without kept content. */
function itemsOf(history: History, at: number): { items: SalvagedItem[]; missing: number } {
  const items = new Map<string, SalvagedItem>();
  let missing = 0;
  const add = (path: string, change: KeptChange, type: KeptChange["type"], data: Uint8Array) => {
    const names = path.split("/");
    const above = names.slice(0, -1).join("/");
    if (above !== "" && !items.has(above)) add(above, change, "directory", NOTHING);
    const { version, writer, mtime } = change;
    const stamp = { version, writer, mtime, inode: 0, parent: 0 };
    const row = { ...stamp, name: names.at(-1) ?? "", type: type === "file" ? 8 : 4, data };
    items.set(path, new SalvagedItem(row.name, items.get(above), type, row));
  };
  for (const [path, change] of history.treeAt(at)) {
    const data = change.type === "file" ? history.content(change) : NOTHING;
    if (data !== undefined) add(path, change, change.type, data);
    else {
      missing++;
      process.stderr.write(`left out: ${showPath(path)}: its content is not kept\n`);
    }
  }
  // Sorted depth first: a NUL sorts before every character of a name.
  const order = [...items].map(([path, item]) => [path.replaceAll("/", "\0"), item] as const);
  order.sort(([a], [b]) => (a < b ? -1 : 1));
  return { items: order.map(([, item]) => item), missing };
}

const treeCommand = command({
  name: "tree",
  summary: "Write the whole /etc/pve as it was at a point in time into an empty directory",
  details: [
    "tree@TIME is the same as tree TIME. Private files whose contents are not kept are named on " +
      "stderr and left out.",
  ],
  examples: [["history tree@2026-11-26T02:00 export ./before", "the state before an incident"]],
  exits: [[1, "Some state was not kept or could not be written; the rest is complete"]],
  options: { history: historyFile },
  operands: {
    time: text({
      description: "Point in time: 2h (ago), 14:30, 2026-11-26, 2026-11-26T14:30",
      required: true,
    }),
    verb: text({ description: "The word export", hint: "export", required: true }),
    dir: pathOption({ description: "Empty or new directory", hint: "DIR", required: true }),
  },
  run({ history: file, time, verb, dir }) {
    if (verb !== "export") throw new UsageFailure(`"${verb}" is not a command here`, "export");
    using history = openHistory(file);
    const at = moment(time, "TIME") ?? Date.now();
    const begins = history.beginsMs;
    if (begins === undefined || at < begins) {
      const since = begins === undefined ? "it is empty" : `it begins at ${showTime(begins)}`;
      throw new CommandFailure(`the history does not reach back to ${showTime(at)}: ${since}`);
    }
    const completeFrom = history.completeFromMs ?? begins;
    const isCut = at < completeFrom;
    if (isCut) {
      process.stderr.write(
        `entries that changed between then and ${showTime(completeFrom)} may be missing: their ` +
          "older states were deleted to keep the history within its limits\n",
      );
    }
    const { items, missing } = itemsOf(history, at);
    const exported = exportTree(items, dir);
    if (typeof exported === "string") throw new CommandFailure(exported);
    for (const failure of exported.failures)
      process.stderr.write(`not written: ${escapeText(failure)}\n`);
    printLine(
      `${dir}: /etc/pve as of ${showTime(at)}: ${counted(exported.files, "file")} in ` +
        counted(exported.directories, "directory"),
    );
    const isWhole = !isCut && missing + exported.failures.length === 0;
    return isWhole ? ExitCode.OK : ExitCode.FAILURE;
  },
});

export const historyCommand = commandGroup(
  {
    name: "history",
    summary: "Show who changed /etc/pve, compare and restore versions",
    details: [
      "A server with --mount keeps a history beside its config.db. Without a command, the " +
        "changes are listed: history [PATH].",
    ],
    fallback: "list",
  },
  {
    list: async () => listCommand,
    show: async () => showCommand,
    diff: async () => diffCommand,
    restore: async () => restoreCommand,
    tree: async () => treeCommand,
    guest: async () => guestCommand,
  },
);
