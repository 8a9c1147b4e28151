/** Shared by the `history` commands: opens the database, and parses paths, versions and times. */
import { HISTORY_DATABASE } from "../base/paths.ts";
import { History, isThere, type KeptChange } from "../pmxcfs/history/reader.ts";
import { showPath } from "../tools/history/listing.ts";
import { parseMoment } from "../tools/history/moments.ts";
import { flag, path as pathOption, text } from "./args.ts";
import { CommandFailure, UsageFailure } from "./failure.ts";

export const historyFile = pathOption({
  description: "History database",
  hint: "FILE",
  default: HISTORY_DATABASE,
});

export const secrets = flag({ description: "Show passwords, tokens and keys" });

export const json = flag({ description: "Print JSON, one object per line" });

export const target = text({
  description: "Path below /etc/pve, and version of the tree: storage.cfg@120",
  hint: "PATH@VERSION",
  required: true,
});

/** Opens the history for reading; throws CommandFailure if that fails. */
export function openHistory(file: string): History {
  const history = History.open(file);
  if (typeof history === "string") throw new CommandFailure(history);
  return history;
}

/** Converts a typed or pasted path to latin1, without outer slashes and /etc/pve. */
export function treePath(word: string): string {
  const bytes = Buffer.from(word, "utf8").toString("latin1");
  return bytes
    .replace(/^\/etc\/pve(?=\/|$)/, "")
    .split("/")
    .filter((name) => name !== "")
    .join("/");
}

/** The path and version of `storage.cfg@120`; without a version, the newest is meant. */
export function parseTarget(word: string): { path: string; version: number | undefined } {
  const found = /^(.+)@(\d+)$/.exec(word);
  if (found === null) return { path: treePath(word), version: undefined };
  return { path: treePath(found[1] ?? ""), version: Number(found[2]) };
}

/** Parses a point in time; throws UsageFailure if it is invalid. */
export function moment(word: string | undefined, label: string): number | undefined {
  if (word === undefined) return undefined;
  const ms = parseMoment(word, Date.now());
  if (ms !== undefined) return ms;
  throw new UsageFailure(
    `${label}: "${word}" is not a time such as 2h, 14:30, 2026-11-26 or 2026-11-26T14:30`,
  );
}

/** The last change of `path` up to `version`; throws CommandFailure if there was no file then. */
export function stateOf(history: History, path: string, version: number | undefined): KeptChange {
  const newest = history.newestVersion;
  if (version !== undefined && version > newest) {
    throw new CommandFailure(`version ${version} does not exist: the newest is ${newest}`);
  }
  const state = history.stateAt(path, version);
  const name = showPath(path);
  if (state === undefined) {
    const first = history.changes({ path, most: undefined })[0];
    if (first === undefined) throw new CommandFailure(`${name}: not in the history`);
    throw new CommandFailure(
      `${name}: not in the history at version ${version}, only from version ${first.version} on`,
    );
  }
  if (!isThere(path, state)) {
    throw new CommandFailure(
      state.kind === "remove"
        ? `${name}: was removed by version ${state.version}; see: pmxcfs-ipc history ${name}`
        : `${name}: was renamed to ${showPath(state.to ?? "")} by version ${state.version}`,
    );
  }
  return state;
}

/** The content of a file at a version; throws CommandFailure if it is a directory or not kept. */
export function contentOf(history: History, path: string, state: KeptChange): Uint8Array {
  const name = showPath(path);
  if (state.type === "directory") throw new CommandFailure(`${name}: is a directory`);
  const content = history.content(state);
  if (content !== undefined) return content;
  throw new CommandFailure(
    state.isPrivate
      ? `${name}: contents of private files are kept only by a server with --history-private`
      : `${name}: its content at version ${state.version} was not kept`,
  );
}
