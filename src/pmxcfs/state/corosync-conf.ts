/**
 * Reads the parts of corosync.conf(5) that the list of members needs. C counterpart: confdb.c and
 * cfs-utils.c (cluster_config_version), which get them from a running corosync.
 */

export interface CorosyncNode {
  readonly name: string;
  readonly id: number;
  readonly votes: number;
  /** ring0_addr: an address, or a host name. */
  readonly address: string | undefined;
}

export interface CorosyncConfig {
  readonly clusterName: string;
  readonly configVersion: number;
  readonly nodes: readonly CorosyncNode[];
  /** quorum.expected_votes, which overrides the sum of the nodes' votes. */
  readonly expectedVotes: number | undefined;
  readonly twoNode: boolean;
}

interface Section {
  readonly name: string;
  readonly values: Map<string, string>;
  readonly sections: Section[];
}

/** Most levels of nested sections; corosync uses two. */
const MAX_DEPTH = 16;

function newSection(name: string): Section {
  return { name, values: new Map(), sections: [] };
}

/** The sections of a file; a string says what is wrong with it. */
function parseSections(text: string): Section | string {
  const root = newSection("");
  const open = [root];
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.trim();
    const inner = open.at(-1) ?? root;
    if (line === "" || line.startsWith("#")) continue;
    if (line === "}") {
      if (open.length === 1) return `line ${index + 1}: a "}" without its "{"`;
      open.pop();
    } else if (line.endsWith("{")) {
      const section = newSection(line.slice(0, -1).trim());
      inner.sections.push(section);
      if (open.push(section) > MAX_DEPTH) return `line ${index + 1}: sections nested too deep`;
    } else {
      const colon = line.indexOf(":");
      if (colon < 0) return `line ${index + 1}: neither a section nor "name: value"`;
      inner.values.set(line.slice(0, colon).trim(), line.slice(colon + 1).trim());
    }
  }
  const unclosed = open.length > 1 ? open.at(-1) : undefined;
  return unclosed === undefined ? root : `section "${unclosed.name}" is not closed`;
}

function sectionsOf(above: Section, name: string): Section[] {
  return above.sections.filter((section) => section.name === name);
}

/** The value `name` in the last of the sections `section` that has one. */
function valueIn(root: Section, section: string, name: string): string | undefined {
  return sectionsOf(root, section)
    .findLast((each) => each.values.has(name))
    ?.values.get(name);
}

function wholeNumber(word: string | undefined): number | undefined {
  return word !== undefined && /^\d{1,10}$/.test(word) ? Number(word) : undefined;
}

/** Parses the file (latin1); a string says why it cannot be used. */
export function parseCorosyncConf(text: string): CorosyncConfig | string {
  const root = parseSections(text);
  if (typeof root === "string") return root;
  const nodes: CorosyncNode[] = [];
  for (const { values } of sectionsOf(root, "nodelist").flatMap((l) => sectionsOf(l, "node"))) {
    const address = values.get("ring0_addr");
    const name = values.get("name") ?? address;
    const id = wholeNumber(values.get("nodeid"));
    if (name === undefined || name === "") return "a node has neither name nor ring0_addr";
    if (id === undefined) return `node "${name}" has no nodeid`;
    const same = nodes.find((other) => other.name === name || other.id === id);
    if (same !== undefined) return `nodes "${same.name}" and "${name}" have one name or id`;
    nodes.push({ name, id, votes: wholeNumber(values.get("quorum_votes")) ?? 1, address });
  }
  if (nodes.length === 0) return "no node in its nodelist";
  return {
    clusterName: valueIn(root, "totem", "cluster_name") ?? "",
    configVersion: wholeNumber(valueIn(root, "totem", "config_version")) ?? 0,
    nodes,
    expectedVotes: wholeNumber(valueIn(root, "quorum", "expected_votes")),
    twoNode: valueIn(root, "quorum", "two_node") === "1",
  };
}
