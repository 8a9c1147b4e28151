/**
 * `pmxcfs-ipc history restore`: writes an old version of a file through the mount, so that the
 * usual checks apply (guest numbers, quorum) and the change is replicated.
 */
import { closeSync, mkdirSync, openSync, renameSync, rmSync, statfsSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { errorText } from "../base/error-text.ts";
import { PVE } from "../base/paths.ts";
import { guestPath } from "../pmxcfs/state/guests.ts";
import { showPath } from "../tools/history/listing.ts";
import { flag, path as pathOption } from "./args.ts";
import { command } from "./command.ts";
import { CommandFailure } from "./failure.ts";
import {
  contentOf,
  historyFile,
  openHistory,
  parseTarget,
  stateOf,
  target,
} from "./history-options.ts";
import { print } from "./terminal.ts";

/** statfs(2) f_type of a FUSE file system. */
const FUSE_SUPER_MAGIC = 0x65735546;

/** What an errno of the mount means here, and what to do. */
const ADVICE: Readonly<Record<string, string>> = {
  EACCES:
    "the cluster has no quorum, or you are not root; restore it when `pvecm status` is quorate",
  EEXIST: "this guest id is used elsewhere in the cluster: move or rename that guest first",
  EIO: "the server could not write its database; see its log",
  EBUSY: "the cluster did not confirm the change in time; check the file before you try again",
  ENOTCONN: "no server runs for the mount; start it first",
};

function failure(what: string, path: string, error: unknown): CommandFailure {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  // Of any other path: a file is where it needs a directory.
  const isOfGuest = code !== "EEXIST" || guestPath(path) !== undefined;
  const advice = isOfGuest ? ADVICE[code] : undefined;
  return new CommandFailure(
    `${what}: ${errorText(error)}${advice === undefined ? "" : ` (${advice})`}`,
  );
}

/** Writes a file as PVE does: a temporary file beside it, then a rename over it. */
function replaceFile(file: string, content: Uint8Array): void {
  const draft = `${file}.tmp.${process.pid}`;
  const fd = openSync(draft, "wx", 0o640);
  try {
    try {
      for (let at = 0; at < content.length;) at += writeSync(fd, content, at);
    } finally {
      closeSync(fd);
    }
    renameSync(draft, file);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
}

export const restoreCommand = command({
  name: "restore",
  summary: "Restore a file as it was at a version, as a new change through the mount",
  details: [
    "Missing directories are created. Nothing is lost: the current file is a version, too.",
  ],
  examples: [
    ["history restore nodes/pve1/qemu-server/100.conf@120", "the configuration of a deleted guest"],
  ],
  options: {
    history: historyFile,
    mount: pathOption({ description: "Mount point of /etc/pve", hint: "DIR", default: PVE.mount }),
    dryRun: flag({ description: "Only show what would be written" }),
  },
  operands: { target },
  run({ history: file, mount, dryRun, target: word }) {
    using history = openHistory(file);
    const { path, version } = parseTarget(word);
    const state = stateOf(history, path, version);
    const content = contentOf(history, path, state);
    const name = showPath(path);
    const what = `${name} as of version ${state.version}, ${content.length} bytes`;
    if (dryRun) {
      print(`would restore ${what}\n`);
      return;
    }
    if (path.split("/").some((each) => each === "" || each === "." || each === "..")) {
      throw new CommandFailure(`${name} was not restored: it leads out of ${mount}`);
    }
    const goal = join(mount, Buffer.from(path, "latin1").toString("utf8"));
    try {
      if (statfsSync(mount).type !== FUSE_SUPER_MAGIC) {
        throw new CommandFailure(`${mount} is not mounted: start the server, then try again`);
      }
      mkdirSync(dirname(goal), { recursive: true });
      replaceFile(goal, content);
    } catch (error) {
      if (error instanceof CommandFailure) throw error;
      throw failure(`${name} was not restored`, path, error);
    }
    print(`restored ${what}\n`);
  },
});
