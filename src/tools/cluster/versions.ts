/**
 * Compares config_version of corosync.conf in the tree, on this host and in every node's corosync:
 * finds the places that differ, and the command by which this node gets the newest running version.
 */
import { COROSYNC_CONF as HOST, PVE } from "../../base/paths.ts";

/** The version that one node's corosync runs. */
export interface NodeVersion {
  readonly name: string;
  readonly version: number;
  /** True if it is a member; if not, `version` is the last one that corosync received of it. */
  readonly joined: boolean;
}

/** The versions in all places; undefined if a file is absent or not readable. */
export interface ConfigVersions {
  readonly tree: number | undefined;
  readonly host: number | undefined;
  /** That of this node's corosync. */
  readonly running: number | undefined;
  /** Those of all nodes' corosyncs, this node's included. */
  readonly nodes: readonly NodeVersion[];
}

export interface Difference {
  /** `4`, or `n1 4, n2 4, n3 3` when not all nodes run the same. */
  readonly running: string;
  /** `; n3 differs`: the places without the most frequent version; empty if there is none. */
  readonly odd: string;
  /** True if only nodes that have left differ. */
  readonly onlyLeft: boolean;
}

/** A version as a number, or `none`. */
export function shownVersion(version: number | undefined): string {
  return version === undefined ? "none" : `${version}`;
}

/** The common version of all nodes, else each node's; a node that left counts if it is older. */
export function runningText({ running, nodes }: ConfigVersions): string {
  const shown = relevantNodes(nodes);
  if (new Set(shown.map(({ version }) => version)).size < 2) return shownVersion(running);
  const each = shown.map(({ name, version, joined }) => {
    return `${name} ${version}${joined ? "" : " (left)"}`;
  });
  return each.join(", ");
}

/** The highest version that a member runs; undefined if none is known. */
function newestRunning({ nodes, running }: ConfigVersions): number | undefined {
  const known = nodes.filter(({ joined }) => joined).map(({ version }) => version);
  if (running !== undefined) known.push(running);
  return known.length === 0 ? undefined : Math.max(...known);
}

/** Members, and nodes that left with an older version than a member runs. */
function relevantNodes(nodes: readonly NodeVersion[]): readonly NodeVersion[] {
  const joined = nodes.filter((node) => node.joined).map(({ version }) => version);
  const newest = Math.max(...joined);
  return nodes.filter((node) => node.joined || (joined.length > 0 && node.version < newest));
}

/** Names of those without the most frequent version; of two halves, those with the older one. */
function minority(values: readonly (readonly [name: string, version: number])[]): string[] {
  const groups = [...Map.groupBy(values, ([, version]) => version)];
  const [most] = groups.toSorted(([a, x], [b, y]) => y.length - x.length || b - a);
  return values.filter(([, version]) => version !== most?.[0]).map(([name]) => name);
}

function oddOf(names: readonly string[]): string {
  return names.length === 0
    ? ""
    : `; ${names.join(", ")} ${names.length > 1 ? "differ" : "differs"}`;
}

/** The differences; undefined if there are none. */
export function difference(versions: ConfigVersions): Difference | undefined {
  const { tree, host, running, nodes } = versions;
  const shown = relevantNodes(nodes);
  const local = (
    [
      ["/etc/pve", tree],
      ["/etc/corosync", host],
      ["the running corosync", running],
    ] as const
  ).flatMap(([name, version]) => (version === undefined ? [] : [[name, version] as const]));
  const here = new Set(local.map(([, version]) => version)).size > 1;
  const members = new Set(nodes.filter(({ joined }) => joined).map(({ version }) => version));
  const odd = minority(shown.map(({ name, version }) => [name, version]));
  if (odd.length > 0) {
    const onlyLeft = !here && members.size < 2;
    return { running: runningText(versions), odd: oddOf(odd), onlyLeft };
  }
  if (!here) return undefined;
  // With two local numbers, neither has a majority.
  const oddHere = local.length > 2 ? minority(local) : [];
  const single = oddHere.length === 1 ? oddHere : [];
  return { running: runningText(versions), odd: oddOf(single), onlyLeft: false };
}

const TREE = `${PVE.mount}/corosync.conf`;
const RELOAD = "corosync-cfgtool -R";
/**
 * corosync checks the new file first (-t); files that are replaced, a draft among them, are kept
 * with a number.
 */
const COPY =
  `cp --backup=numbered -T ${TREE} ${HOST}.new && corosync -t -c ${HOST}.new && ` +
  `mv --backup=numbered -T ${HOST}.new ${HOST}`;

/**
 * The command by which this node gets the highest version that a member runs: a reload, or a copy
 * of the tree's file and a reload. It restarts nothing and loses no file. Undefined if this node
 * has that version, or no file of it. `treeFits`: the tree's file is of this cluster and has all
 * nodes that corosync has.
 */
export function catchUp(versions: ConfigVersions, treeFits: boolean): string | undefined {
  const { tree, host, running } = versions;
  const newest = newestRunning(versions);
  if (newest === undefined || running === undefined || host === undefined) return undefined;
  if (host === newest) return running < newest ? RELOAD : undefined;
  // A file that is newer than every running version is being edited: it stays.
  if (host > newest || tree !== newest || !treeFits) return undefined;
  return running < newest ? `${COPY} && ${RELOAD}` : COPY;
}
