/**
 * The default store: a config.db of our own in the state directory, made on first start with the
 * directories that a fresh node has. C counterpart: pmxcfs.c and PVE's setup, which make the same
 * under /var/lib/pve-cluster.
 */
import { chmodSync, existsSync, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { writeConfigDb, type TreeItem } from "./config-writer.ts";
import { errorText } from "../../base/error-text.ts";
import { unixSeconds } from "../../platform/clock.ts";

const FILE_NAME = "config.db";
const NAME = "pmxcfs-ipc";

/** /var/lib/pmxcfs-ipc for root, $XDG_STATE_HOME/pmxcfs-ipc (~/.local/state) for others. */
export function defaultStateDirectory(environment: NodeJS.ProcessEnv, uid: number): string {
  if (uid === 0) return join("/var/lib", NAME);
  const home = environment["XDG_STATE_HOME"] ?? "";
  // The XDG specification says that relative paths are ignored.
  return join(home.startsWith("/") ? home : join(homedir(), ".local/state"), NAME);
}

/** Directories of a fresh node, parents first. */
function freshTree(nodeName: string): TreeItem[] {
  const node = ["nodes", nodeName];
  const paths = [
    ["priv"],
    ["priv", "acme"],
    ["priv", "lock"],
    ["nodes"],
    node,
    [...node, "lxc"],
    [...node, "openvz"],
    [...node, "priv"],
    [...node, "qemu-server"],
    ["firewall"],
    ["ha"],
    ["mapping"],
    ["sdn"],
    ["virtual-guest"],
  ];
  const mtime = unixSeconds();
  return paths.map((path) => ({ path, bytes: undefined, mtime }));
}

/** The database's path; makes the database if it is missing. `problem`: why that failed. */
export function ensureEmbeddedDb(
  stateDirectory: string,
  nodeName: string,
): { readonly file: string; readonly problem: string | undefined } {
  const file = join(stateDirectory, FILE_NAME);
  if (existsSync(file)) return { file, problem: undefined };
  try {
    const made = mkdirSync(stateDirectory, { recursive: true, mode: 0o750 });
    // The umask may have removed bits. Only a directory that we made is changed.
    if (made !== undefined) chmodSync(stateDirectory, 0o750);
  } catch (error) {
    return { file, problem: errorText(error) };
  }
  return { file, problem: writeConfigDb(file, freshTree(nodeName)) };
}
