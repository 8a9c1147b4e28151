/** GET_CLUSTER_INFO: outside a cluster, and with the members of a corosync.conf. */
import { describe, expect, test } from "bun:test";
import { parseCorosyncConf, type CorosyncConfig } from "../../src/pmxcfs/state/corosync-conf.ts";
import { Memdb } from "../../src/pmxcfs/state/memdb.ts";
import { Members } from "../../src/pmxcfs/state/members.ts";
import { openBackend } from "../../src/pmxcfs/store/open.ts";
import { Versions } from "../../src/pmxcfs/state/versions.ts";
import { silentLog } from "../../src/base/log.ts";
import { open, rememberingLog, TempDirectory, textOf } from "./support.ts";

const CONF = `logging {
  debug: off
}

# a comment
nodelist {
  node {
    name: a
    nodeid: 1
    quorum_votes: 1
    ring0_addr: 192.0.2.1
  }
  node {
    name: b
    nodeid: 2
    quorum_votes: 1
    ring0_addr: 2001:db8::2
    ring1_addr: 198.51.100.2
  }
  node {
    nodeid: 3
    ring0_addr: c.example.test
  }
}
quorum {
  provider: corosync_votequorum
}
totem {
  cluster_name: lab
  config_version: 4
  interface {
    linknumber: 0
  }
  version: 2
}
`;

function parsed(text: string): CorosyncConfig {
  const config = parseCorosyncConf(text);
  if (typeof config === "string") throw new Error(config);
  return config;
}

function members(corosync: CorosyncConfig | undefined, online: readonly string[] = []) {
  const versions = new Versions({ memdb: new Memdb() });
  const extra = corosync === undefined ? {} : { corosync };
  return { versions, members: new Members({ nodeName: "a", versions, online, ...extra }) };
}

describe("corosync.conf", () => {
  test("nodes, ids, votes, addresses, cluster name and config version are read", () => {
    expect(parsed(CONF)).toEqual({
      clusterName: "lab",
      configVersion: 4,
      nodes: [
        { name: "a", id: 1, votes: 1, address: "192.0.2.1" },
        { name: "b", id: 2, votes: 1, address: "2001:db8::2" },
        { name: "c.example.test", id: 3, votes: 1, address: "c.example.test" },
      ],
      expectedVotes: undefined,
      twoNode: false,
    });
  });

  test.each([
    ["", "no node in its nodelist"],
    ["nodelist {\n node {\n name: a\n", 'section "node" is not closed'],
    ["}\n", 'line 1: a "}" without its "{"'],
    ["totem {\nnonsense\n}\n", 'line 2: neither a section nor "name: value"'],
    ["nodelist {\nnode {\nnodeid: 1\n}\n}\n", "a node has neither name nor ring0_addr"],
    ["nodelist {\nnode {\nname: a\n}\n}\n", 'node "a" has no nodeid'],
    [
      "nodelist {\nnode {\nname: a\nnodeid: 1\n}\nnode {\nname: b\nnodeid: 1\n}\n}\n",
      'nodes "a" and "b" have one name or id',
    ],
    ["a {\n".repeat(20), "line 16: sections nested too deep"],
  ])("%j is refused", (text, reason) => expect(parseCorosyncConf(text)).toBe(reason));
});

describe("the text", () => {
  test("outside a cluster has only the node's name and the version", () => {
    expect(textOf(members(undefined).members.clusterInfo())).toBe(
      '{\n"nodename": "a",\n"version": 0\n}\n',
    );
  });

  test("in a cluster is byte for byte that of C", () => {
    expect(textOf(members(parsed(CONF), ["b"]).members.clusterInfo())).toBe(
      '{\n"nodename": "a",\n"version": 0,\n' +
        '"cluster": { "name": "lab", "version": 4, "nodes": 3, "quorate": 1 },\n' +
        '"nodelist": {\n' +
        '  "a": { "id": 1, "online": 1, "ip": "192.0.2.1"},\n' +
        '  "b": { "id": 2, "online": 1, "ip": "2001:db8::2"},\n' +
        '  "c.example.test": { "id": 3, "online": 0}\n' +
        "  }\n}\n",
    );
  });

  test("has ids and the configuration's version as signed numbers, as C prints them", () => {
    const high = CONF.replace("nodeid: 2", "nodeid: 3232235777").replace(/n: 4$/m, "n: 4294967295");
    const text = textOf(members(parsed(high)).members.clusterInfo());
    expect(text).toContain('"b": { "id": -1062731519,');
    expect(text).toContain('"version": -1, "nodes": 3,');
  });

  test("has the node's address in a cluster; a change of it increments clinfo", () => {
    const { versions, members: one } = members(parsed(CONF));
    one.setNodeIp("192.0.2.1");
    expect(versions.clinfo).toBe(0);
    one.setNodeIp('9"9');
    expect(versions.clinfo).toBe(1);
    const info = JSON.parse(textOf(one.clusterInfo())) as { nodelist: Record<string, unknown> };
    expect(info).toMatchObject({ version: 1, nodelist: { a: { ip: '9"9' } } });
    expect(one.clusterInfo()).toBe(one.clusterInfo());
    const alone = members(undefined);
    alone.members.setNodeIp("192.0.2.1");
    alone.members.setNodeIp("192.0.2.1");
    expect(alone.versions.clinfo).toBe(1);
  });

  test("has() is true for this node and the cluster's nodes only", () => {
    const { members: one } = members(parsed(CONF));
    expect(["a", "b", "c.example.test", "d", ""].map((node) => one.has(node))).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
  });
});

/** Node a with one vote, node b with `b`. */
function votes(b: number, quorum = ""): CorosyncConfig {
  return parsed(
    "nodelist {\nnode {\nname: a\nnodeid: 1\n}\n" +
      `node {\nname: b\nnodeid: 2\nquorum_votes: ${b}\n}\n}\nquorum {\n${quorum}\n}\n`,
  );
}

describe("quorate", () => {
  test.each([
    ["one of two", votes(1), [], false],
    ["both of two", votes(1), ["b"], true],
    ["the one without votes is missing", votes(0), [], true],
    ["the one with more votes is missing", votes(2), [], false],
    ["two_node", votes(1, "two_node: 1"), [], true],
    ["fewer votes than expected", votes(1, "expected_votes: 5"), ["b"], false],
  ] as const)("%s", (_, config, online, quorate) => {
    const { members: one } = members(config, online);
    expect(one.quorate).toBe(quorate);
    expect(textOf(one.clusterInfo())).toContain(`"quorate": ${quorate ? 1 : 0} `);
  });

  test("is true outside a cluster", () => expect(members(undefined).members.quorate).toBe(true));
});

describe("opened with a backend", () => {
  test("the members are those of the file, with the given nodes online", () => {
    using directory = new TempDirectory();
    const corosyncConf = directory.put("corosync.conf", CONF);
    using backend = open({ dir: directory.path, nodeName: "a", corosyncConf, online: ["b"] });
    expect(textOf(backend.members.clusterInfo())).toContain('"b": { "id": 2, "online": 1');
  });

  const refused: readonly (readonly [
    given: { readonly corosyncConf?: string; readonly online?: readonly string[] },
    reason: string,
  ])[] = [
    [{ corosyncConf: "corosync.conf", online: ["x"] }, 'no node "x" to be online'],
    [{ online: ["b"] }, "only with a corosync.conf"],
    [{ corosyncConf: "missing" }, "ENOENT"],
    [{ corosyncConf: "broken" }, "line 1: neither"],
  ];

  test.each(refused)("%j is refused", (given, reason) => {
    using directory = new TempDirectory();
    directory.put("corosync.conf", CONF);
    directory.put("broken", "nonsense");
    const { corosyncConf } = given;
    const opened = openBackend({
      ...given,
      corosyncConf: corosyncConf && directory.at(corosyncConf),
      dir: directory.path,
      nodeName: "a",
      log: silentLog,
    });
    expect(opened).toEqual(expect.stringContaining(reason));
  });

  test("a node that is not in its own file is reported", () => {
    using directory = new TempDirectory();
    const corosyncConf = directory.put("corosync.conf", CONF);
    const log = rememberingLog();
    using backend = open({ dir: directory.path, nodeName: "z", corosyncConf, log });
    expect(backend.members.quorate).toBe(false);
    expect(log.lines.join()).toContain('("z") is not among its nodes');
  });
});

describe("a running corosync", () => {
  const nodes = [
    { id: 1, name: "a", votes: 1 },
    { id: 2, name: "b", votes: 1 },
  ];
  const facts = { clusterName: "rig", configVersion: 3, nodes };

  test("adds the cluster once it is known; each of its changes increments clinfo", () => {
    const { versions, members: one } = members(undefined);
    expect(textOf(one.clusterInfo())).toBe('{\n"nodename": "a",\n"version": 0\n}\n');
    one.setQuorate(false);
    one.update(facts);
    one.setNodeIp("192.0.2.1");
    one.setNodeIp("192.0.2.2", 2);
    one.setNodeIp("192.0.2.2", 2);
    one.setOnline(new Set([1]));
    expect(versions.clinfo).toBe(4);
    one.setQuorate(true);
    expect(textOf(one.clusterInfo())).toBe(
      '{\n"nodename": "a",\n"version": 4,\n' +
        '"cluster": { "name": "rig", "version": 3, "nodes": 2, "quorate": 1 },\n"nodelist": {\n' +
        '  "a": { "id": 1, "online": 1, "ip": "192.0.2.1"},\n' +
        '  "b": { "id": 2, "online": 0, "ip": "192.0.2.2"}\n  }\n}\n',
    );
  });

  test("keeps online flags for nodes that become known later", () => {
    const { members: one } = members(undefined);
    one.setOnline(new Set([1, 2]));
    one.update(facts);
    expect(textOf(one.clusterInfo()).match(/"online": 1/g)).toHaveLength(2);
    one.setOnline(new Set([1]));
    one.update(facts);
    expect(textOf(one.clusterInfo()).match(/"online": 1/g)).toHaveLength(1);
  });

  test("keeps online flags and addresses with the node ids", () => {
    const { members: one } = members(undefined);
    one.update(facts);
    one.setOnline(new Set([2]));
    one.setNodeIp("192.0.2.2", 2);
    one.update({ ...facts, nodes: [{ id: 2, name: "c", votes: 1 }] });
    expect(textOf(one.clusterInfo())).toContain('"c": { "id": 2, "online": 1, "ip": "192.0.2.2"}');
    expect([one.idOf("c"), one.idOf("b"), one.nameOf(2), one.nameOf(1)]).toEqual([
      2,
      undefined,
      "c",
      undefined,
    ]);
  });
});
