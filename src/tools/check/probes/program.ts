/**
 * Which program serves, and its version. A package that was upgraded replaces the file of a program
 * that goes on running, so the package's version is not always the server's.
 */
import { buildInfo } from "../../../base/version.ts";
import { readStatus } from "../../../observe/read-status.ts";
import { statusPath } from "../../../observe/status.ts";
import type { ServerKind } from "../context.ts";
import type { Context } from "../probe.ts";
import type { ProcessInfo } from "../proc.ts";
import { existsSync } from "node:fs";

export interface Program {
  readonly name: string;
  readonly version: string | undefined;
  /** The file that it was started from is not there any more. */
  readonly isReplaced: boolean;
}

/** The kernel's note behind the path of a file that was removed or replaced. */
const DELETED = / \(deleted\)$/;

/** The version of the package that installs this program; undefined without dpkg. */
async function packageVersion(context: Context, name: string): Promise<string | undefined> {
  const query = ["dpkg-query", "-W", "-f", "${Version}", name];
  const { code, out } = await context.machine.run(query, context.left());
  return code === 0 && out !== "" ? out.trim() : undefined;
}

/** The version that a server of ours reports itself. */
async function reportedVersion(context: Context, pid: number): Promise<string | undefined> {
  const path = statusPath(context.options.service, process.env, process.getuid?.());
  if (path === undefined || !existsSync(path)) return undefined;
  const status = await readStatus(path, context.left() / 2);
  return typeof status === "string" || status.pid !== pid ? undefined : status.version;
}

/** Our own version, when the server is the program that runs this check. */
async function ownVersion({ machine }: Context, pid: number): Promise<string | undefined> {
  const theirs = await machine.info(`${machine.paths.proc}/${pid}/exe`);
  const ours = await machine.info(process.execPath);
  if (typeof theirs === "number" || typeof ours === "number") return undefined;
  return theirs.inode === ours.inode ? buildInfo.version : undefined;
}

/** The program of a server of this kind; `owner`: its process, where that may be seen. */
export async function programOf(
  context: Context,
  kind: Exclude<ServerKind, "unknown">,
  owner: ProcessInfo | undefined,
): Promise<Program> {
  const { machine } = context;
  const link = owner && (await machine.link(`${machine.paths.proc}/${owner.pid}/exe`));
  const file = typeof link === "string" ? link : "";
  const isReplaced = DELETED.test(file);
  // As a drop-in for pmxcfs, our program has the C server's name.
  const isOurs = kind === "pmxcfs-ipc" || file.replace(DELETED, "").endsWith("/pmxcfs-ipc");
  const name = isOurs ? "pmxcfs-ipc" : "pmxcfs";
  const installed = isReplaced
    ? undefined
    : await packageVersion(context, isOurs ? name : "pve-cluster");
  if (!isOurs || owner === undefined) return { name, version: installed, isReplaced };
  const isCompiled = file.endsWith("/pmxcfs-ipc");
  const own = isCompiled ? await ownVersion(context, owner.pid) : undefined;
  const version = own ?? (await reportedVersion(context, owner.pid)) ?? installed;
  return { name, version, isReplaced };
}
