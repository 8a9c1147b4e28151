/**
 * config_version of corosync.conf in the tree, on this host and on every node: whether they differ,
 * which one is the odd one, and how this node gets the version that the others run.
 */

/** What one node runs. */
export interface NodeVersion {
  readonly name: string;
  readonly version: number;
  /** It is a member now; if not, this is the last version that was heard of it. */
  readonly joined: boolean;
}

/** undefined: not there, or not readable. */
export interface ConfigVersions {
  readonly tree: number | undefined;
  readonly host: number | undefined;
  /** In this node's corosync. */
  readonly running: number | undefined;
  /** In each node's corosync, this one's included. */
  readonly nodes: readonly NodeVersion[];
}

export interface Difference {
  /** `4`, or `n1 4, n2 4, n3 3` when not all nodes run the same. */
  readonly running: string;
  /** `; n3 differs`, or nothing when there is no odd one. */
  readonly odd: string;
  /** Only nodes that have left differ. */
  readonly onlyLeft: boolean;
}

/** A version, or a word for one that does not exist. */
export function shownVersion(version: number | undefined): string {
  return version === undefined ? "none" : `${version}`;
}

/** What the nodes run: one number, or each node's. A node that left counts when it is behind. */
export function runningText({ running, nodes }: ConfigVersions): string {
  const shown = concerned(nodes);
  if (new Set(shown.map(({ version }) => version)).size < 2) return shownVersion(running);
  const each = shown.map(({ name, version, joined }) => {
    return `${name} ${version}${joined ? "" : " (left)"}`;
  });
  return each.join(", ");
}

/** The highest version that a member runs; undefined when none is known. */
function newestRunning({ nodes, running }: ConfigVersions): number | undefined {
  const known = nodes.filter(({ joined }) => joined).map(({ version }) => version);
  if (running !== undefined) known.push(running);
  return known.length === 0 ? undefined : Math.max(...known);
}

/** Members, and nodes that left with an older version than a member runs. */
function concerned(nodes: readonly NodeVersion[]): readonly NodeVersion[] {
  const joined = nodes.filter((node) => node.joined).map(({ version }) => version);
  const newest = Math.max(...joined);
  return nodes.filter((node) => node.joined || (joined.length > 0 && node.version < newest));
}

/** Those that do not have what most have; of two halves the older one. */
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

/** What differs; undefined when nothing does. */
export function difference(versions: ConfigVersions): Difference | undefined {
  const { tree, host, running, nodes } = versions;
  const shown = concerned(nodes);
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
  // Of two numbers neither is the odd one.
  const oddHere = local.length > 2 ? minority(local) : [];
  const one = oddHere.length === 1 ? oddHere : [];
  return { running: runningText(versions), odd: oddOf(one), onlyLeft: false };
}

const TREE = "/etc/pve/corosync.conf";
const HOST = "/etc/corosync/corosync.conf";
const RELOAD = "corosync-cfgtool -R";
/** corosync reads the new file first; the old one is kept beside it under a number. */
const COPY =
  `cp ${TREE} ${HOST}.new && corosync -t -c ${HOST}.new && ` +
  `mv --backup=numbered -T ${HOST}.new ${HOST}`;

/**
 * The command by which this node gets the version that the newest member runs: a reload, or the
 * tree's file and a reload. Nothing is restarted, and no file is lost. undefined: this node has it,
 * or has no file of that version. `treeFits`: the tree's file is of this cluster and has this node.
 */
export function catchUp(versions: ConfigVersions, treeFits: boolean): string | undefined {
  const { tree, host, running } = versions;
  const newest = newestRunning(versions);
  if (newest === undefined || running === undefined || host === undefined) return undefined;
  if (host === newest) return running < newest ? RELOAD : undefined;
  // A file newer than what anybody runs is somebody's work in progress.
  if (host > newest || tree !== newest || !treeFits) return undefined;
  return running < newest ? `${COPY} && ${RELOAD}` : COPY;
}
