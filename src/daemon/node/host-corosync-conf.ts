/**
 * corosync.conf in the tree and on the host: the host's is imported into a new database, the tree's
 * is written to the host unless the host's is newer. C counterpart: pmxcfs.c (import),
 * cfs-plug-memdb.c.
 */
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { errorCode, errorText } from "../../base/error-text.ts";
import { errnoText } from "../../base/errno.ts";
import type { Log } from "../../base/log.ts";
import { unixSeconds } from "../../platform/clock.ts";
import { readRegularFile } from "../../platform/regular-file.ts";
import type { Memdb } from "../../pmxcfs/state/memdb.ts";
import type { TreeStore } from "../../pmxcfs/store/tree-store.ts";

/** Its name in the tree. */
const NAME = "corosync.conf";
/** Version of a new tree, before its first change. */
const FIRST_VERSION = 1;
/** Delay between the write of the file and its reload by corosync. */
const RELOAD_AFTER_MS = 1000;

/** The host's file; undefined when there is none, or it cannot be read, which is logged. */
function readHost(path: string, log: Log): Buffer | undefined {
  try {
    return readRegularFile(path);
  } catch (error) {
    const isMissing = errorCode(error) === "ENOENT";
    if (!isMissing) log.error(`unable to read cluster config file '${path}' - ${errorText(error)}`);
    return undefined;
  }
}

/** The first `config_version` in the text, also in a comment, as in C; 0 when there is none. */
function configVersion(text: Uint8Array): number {
  const match = /config_version\s*:\s*(\d+)/.exec(Buffer.from(text).toString("latin1"));
  return Number(match?.[1] ?? 0);
}

/** Imports the host's file, if there is one, into a new tree; a string says why that failed. */
function importCorosyncConf(tree: TreeStore, path: string, log: Log): string | undefined {
  const data = readHost(path, log);
  if (data === undefined) return undefined;
  const origin = { writer: 0, time: unixSeconds() };
  for (const result of [
    tree.apply({ kind: "create", path: NAME }, origin),
    tree.apply({ kind: "write", path: NAME, offset: 0, data }, origin),
  ]) {
    if (result < 0) return `unable to import corosync.conf: ${errnoText(result)}`;
  }
  return undefined;
}

/** The options of a start that decide whether the node is in a cluster. */
export interface JoinOptions {
  /** pmxcfs -l. */
  readonly local: boolean;
  /** corosync's own configuration on this host. */
  readonly hostCorosyncConf: string;
}

/**
 * True when the tree has a corosync.conf, which means that this node is in a cluster. A database
 * that was never changed first imports the host's: C does so only if the start has made the
 * database, and after a first start that failed at the import (a full disk) or was killed before
 * it, the next one would serve an empty tree alone and with quorum. A string says why the import
 * failed, or why the tree cannot be that of a member.
 */
export function joinsCluster(tree: TreeStore, options: JoinOptions, log: Log): boolean | string {
  const { memdb } = tree;
  const isInTree = (): boolean => memdb.find(NAME)?.kind === "file";
  if (options.local) {
    if (isInTree()) log.info("forcing local mode (although corosync.conf exists)");
    return false;
  }
  const isUntouched = tree.version <= FIRST_VERSION && memdb.entryCount === 0;
  const { hostCorosyncConf } = options;
  const failure = isUntouched ? importCorosyncConf(tree, hostCorosyncConf, log) : undefined;
  if (failure !== undefined) return failure;
  return isInTree() && (negativeNumber(tree) ?? true);
}

/**
 * Why the tree cannot be compared with those of other members: C takes negative inodes and versions
 * of a foreign database for numbers above 2^63, after all others.
 */
function negativeNumber(tree: TreeStore): string | undefined {
  for (const { inode, version, name } of tree.entries()) {
    if (inode >= 0 && version >= 0) continue;
    const which = inode < 0 ? "inode" : "version";
    return `the ${which} of '${name}' is negative: this database can be served with -l only`;
  }
  return undefined;
}

/**
 * Writes the tree's file to the host unless the host's is equal or newer. True: it replaced a file
 * with a version, which a running corosync has loaded.
 */
function replaceHost(memdb: Memdb, path: string, log: Log): boolean {
  const data = memdb.read(NAME);
  if (data === undefined || data.length === 0) return false;
  const version = configVersion(data);
  if (version === 0) {
    log.error("unable to parse cluster config_version");
    return false;
  }
  const host = readHost(path, log);
  if (host?.equals(data) === true) return false;
  const replaced = host === undefined ? 0 : configVersion(host);
  if (replaced > version) {
    log.error("local corosync.conf is newer");
    return false;
  }
  const draft = `${path}.tmp.${process.pid}`;
  let fd: number | undefined;
  try {
    fd = writeDraft(draft, data);
    renameSync(draft, path);
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    rmSync(draft, { force: true });
    log.error(`unable to write ${path}: ${errorText(error)} (does ${dirname(path)} exist?)`);
    return false;
  }
  const written = fd;
  // In a thread: the event loop must not wait for the disk.
  fsync(written, () => closeSync(written));
  log.info(`wrote new corosync config '${path}' (version = ${version})`);
  return replaced > 0;
}

/** Makes the file, 0644 root:root; returns its descriptor. */
function writeDraft(path: string, data: Uint8Array): number {
  rmSync(path, { force: true });
  const fd = openSync(path, "wx", 0o644);
  try {
    writeFileSync(fd, data);
    fchmodSync(fd, 0o644);
    if (process.getuid?.() === 0) fchownSync(fd, 0, 0);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Has corosync reload its configuration. Corosync may not be installed, or not run. */
async function reloadCorosync(log: Log): Promise<void> {
  await Bun.sleep(RELOAD_AFTER_MS);
  try {
    const stdio = "ignore";
    const child = Bun.spawn(["corosync-cfgtool", "-R"], { cwd: "/", stdout: stdio, stderr: stdio });
    const code = await child.exited;
    if (code !== 0) log.error(`corosync-cfgtool -R failed with exit code ${code}`);
  } catch (error) {
    log.error(`corosync-cfgtool -R cannot be run: ${errorText(error)}`);
  }
}

/**
 * Writes the tree's file to the host now and after each change. Only for a node in a cluster.
 * corosync loads a replaced file (`reload`) at the start, since the tree was changed while this
 * server did not run, and after a change of this node: one reload reaches all nodes. `ownId`: this
 * node's id in the running corosync; the file may not have it under the host's name.
 */
export function followCorosyncConf(
  memdb: Memdb,
  ownId: () => number | undefined,
  path: string,
  log: Log,
  reload: () => void = () => void reloadCorosync(log),
): void {
  if (replaceHost(memdb, path, log)) reload();
  memdb.subscribe(({ kind, path: changed, entry }) => {
    const isIt = changed === NAME && (kind === "placed" || kind === "written");
    if (!isIt && kind !== "reloaded") return;
    if (!replaceHost(memdb, path, log) || kind === "reloaded") return;
    if (entry.writer === ownId()) reload();
  });
}
