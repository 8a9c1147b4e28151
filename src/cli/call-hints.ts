/** Hints for a GET_CONFIG answered with ENOENT: asks the same server which files exist. */
import { QbFailure } from "../client/failure.ts";
import type { QbClient } from "../client/qb-client.ts";
import { guestDirectory } from "../pmxcfs/state/guests.ts";
import type { AnswerFormat } from "../pmxcfs/requests/request.ts";
import { getConfig } from "../pmxcfs/requests/rows/get-config.ts";
import { getFsVersion } from "../pmxcfs/requests/rows/get-fs-version.ts";
import { getGuestList } from "../pmxcfs/requests/rows/get-guest-list.ts";
import { belowPve, similarPath } from "./pve-path.ts";

/** Time limit for finding a hint. */
const TIMEOUT_MS = 1000;

interface Asked<R> {
  readonly id: number;
  readonly answer: AnswerFormat<R>;
}

async function ask<R>(client: QbClient, { id, answer }: Asked<R>): Promise<R | undefined> {
  const response = await client.sendRecv(id, Buffer.alloc(0), { timeoutMs: TIMEOUT_MS });
  if (response instanceof QbFailure || response.error !== 0) return undefined;
  const value = answer.read(response.body);
  return value instanceof QbFailure ? undefined : value;
}

async function exists(client: QbClient, path: string): Promise<boolean> {
  const body = getConfig.encode({ path });
  if (body instanceof QbFailure) return false;
  const response = await client.sendRecv(getConfig.id, body, { timeoutMs: TIMEOUT_MS });
  return !(response instanceof QbFailure) && response.error === 0;
}

/** True for the root, and for a path with known files below it. */
function isDirectory(typed: string, paths: readonly string[]): boolean {
  const path = belowPve(typed)
    .split("/")
    .filter((name) => name !== "")
    .join("/");
  return path === "" || paths.some((known) => known.startsWith(`${path}/`));
}

/**
 * A hint about a path that does not exist on the server, from the observed files and those of
 * guests: `it is a directory`, or `did you mean "..."?` with an existing file. Undefined if no file
 * name is similar.
 */
export async function configHint(client: QbClient, typed: string): Promise<string | undefined> {
  const watched = Object.keys((await ask(client, getFsVersion))?.files ?? {});
  const ids = Object.entries((await ask(client, getGuestList))?.ids ?? {});
  const guests = ids.map(([vmid, { node, type }]) => {
    return `nodes/${node}/${guestDirectory(type)}/${vmid}.conf`;
  });
  const there: string[] = [];
  for (const path of watched) if (await exists(client, path)) there.push(path);
  const paths = [...there, ...guests];
  if (isDirectory(typed, paths)) return "it is a directory";
  const meant = similarPath(typed, paths);
  return meant === undefined ? undefined : `did you mean "${meant}"?`;
}
