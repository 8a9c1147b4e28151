/**
 * Typed paths below /etc/pve: with the mount point, relative to the node's own directories, or in
 * the wrong case. Only the mount point is removed; the other mistakes get a hint.
 */
import { GUEST_DIRECTORIES } from "../pmxcfs/state/guests.ts";
import { suggest } from "./suggest.ts";

const MOUNT_POINT = /^\/+etc\/+pve(?:\/+|$)/;
/** Links at the root of the mount that point into the node's own directory. */
const OWN = new RegExp(`^(?:local/)?(?:${GUEST_DIRECTORIES.join("|")})(?:/|$)`);

/** The path below /etc/pve: `/etc/pve/storage.cfg` is `storage.cfg`. */
export function belowPve(word: string): string {
  return word.replace(MOUNT_POINT, "");
}

/** The one of `paths` (without trailing slashes) that was probably meant; undefined if none. */
export function similarPath(word: string, paths: Iterable<string>): string | undefined {
  const wanted = belowPve(word)
    .split("/")
    .filter((name) => name !== "")
    .join("/");
  const all = [...paths];
  const own = OWN.test(wanted) ? wanted.replace(/^local\//, "") : undefined;
  const ofNode = all.filter((path) => own !== undefined && /^nodes\/[^/]+\//.test(path));
  const inNode = ofNode.find((path) => path.endsWith(`/${own}`));
  if (inNode !== undefined) return inNode;
  const inOwn = /^local\/(.+)$/.exec(wanted)?.[1];
  const inLocal = all.find((path) => /^nodes\/[^/]+\//.test(path) && path.endsWith(`/${inOwn}`));
  if (inOwn !== undefined && inLocal !== undefined) return inLocal;
  const lower = wanted.toLowerCase();
  const sameLetters = all.find((path) => path.toLowerCase() === lower);
  if (sameLetters !== undefined) return sameLetters;
  const sameName = all.filter((path) => path.split("/").at(-1) === wanted);
  if (sameName.length === 1) return sameName[0];
  return suggest(
    wanted,
    all.filter((path) => Math.abs(path.length - wanted.length) <= 4),
  );
}
