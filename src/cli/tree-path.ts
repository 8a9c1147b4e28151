/**
 * Paths below /etc/pve as people type them: copied from a shell, through the mount's links
 * (`local`, `qemu-server`, ...), in another case or with another ending.
 */
import { nearest } from "./suggest.ts";

/** Names at the mount's top that link into this node's directory. */
const NODE_LINKS: ReadonlySet<string> = new Set(["qemu-server", "lxc", "openvz"]);

function namesOf(path: string): string[] {
  return path.split("/").filter((name) => name !== "");
}

/** `typed` without a leading `/etc/pve/`; a path of another kind stays as it is. */
export function treePath(typed: string): string {
  const names = namesOf(typed);
  const isMounted = typed.startsWith("/") && names[0] === "etc" && names[1] === "pve";
  return isMounted && names.length > 2 ? names.slice(2).join("/") : typed;
}

/** What a tree is known to hold, as far as it is. */
export interface KnownTree {
  readonly paths: readonly string[];
  /** Where the mount's links lead; undefined when it is not known. */
  readonly node: string | undefined;
}

/** The path that a mount's link stands for; undefined when there is no link in it. */
function linked(names: readonly string[], node: string | undefined): string | undefined {
  if (node === undefined) return undefined;
  const [first = "", ...rest] = names;
  if (first === "local" && rest.length > 0) return ["nodes", node, ...rest].join("/");
  return NODE_LINKS.has(first) ? ["nodes", node, ...names].join("/") : undefined;
}

/** `storage` of `storage.cfg`, in lower case: what people remember of a name. */
function stem(path: string): string {
  return path.toLowerCase().replace(/\.[a-z]+$/, "");
}

/**
 * What somebody meant by a path that is no file: `it is a directory`, or `did you mean "..."?`;
 * undefined when nothing known is close.
 */
export function pathHint(typed: string, { paths, node }: KnownTree): string | undefined {
  const names = namesOf(treePath(typed));
  const path = names.join("/");
  if (path === "" || paths.some((known) => known.startsWith(`${path}/`)))
    return "it is a directory";
  const place = linked(names, node);
  if (place !== undefined && paths.some((known) => known.startsWith(`${place}/`))) {
    return `it is a directory, nodes/${node ?? ""}/${names.at(-1) ?? ""}`;
  }
  const target =
    (place !== undefined && paths.includes(place) ? place : undefined) ??
    elsewhere(names, paths) ??
    paths.find((known) => known.toLowerCase() === path.toLowerCase()) ??
    paths.find((known) => stem(known) === stem(path)) ??
    nearest(path, paths);
  return target === undefined || target === path ? undefined : `did you mean "${target}"?`;
}

/** The same guest's file on the node that has it. */
function elsewhere(names: readonly string[], paths: readonly string[]): string | undefined {
  const from = names[0] === "local" ? names.slice(1) : names;
  if (!NODE_LINKS.has(from[0] ?? "")) return undefined;
  return paths.find((known) => known.startsWith("nodes/") && known.endsWith(`/${from.join("/")}`));
}
