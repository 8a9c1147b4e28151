/** cpg, quorum and cmap of a real corosync, on two nodes in their own namespaces. */
import { afterAll, beforeAll, describe, expect } from "bun:test";
import { CsError } from "../../src/corosync/cs-error.ts";
import { CpgReason } from "../../src/corosync/cpg-events.ts";
import { CmapTrack } from "../../src/corosync/layouts.ts";
import { eventually } from "../support/eventually.ts";
import { testUnless } from "../support/unless.ts";
import { Agent } from "./support/agent.ts";
import type { ReportedEvent } from "./support/json-process.ts";
import { noCluster, TestCluster } from "./support/cluster.ts";

const reason = noCluster();
const test = testUnless(reason);
let cluster: TestCluster;
let names = 0;

beforeAll(async () => {
  if (reason === undefined) cluster = await TestCluster.up(2);
}, 90_000);

afterAll(async () => {
  if (reason === undefined) await cluster[Symbol.asyncDispose]();
});

/** A group that no other test uses; the NUL is part of the name, as in pmxcfs. */
function newGroup(): string {
  return `group${names++}\0`;
}

async function joined(node: number, group: string): Promise<Agent> {
  const agent = new Agent(cluster.node(node));
  expect(await agent.do({ op: "connect", group })).toMatchObject({ nodeid: node });
  expect(await agent.do({ op: "join", group })).toBe(CsError.OK);
  await eventually("its own confchg", () => agent.of("confchg")[0]);
  return agent;
}

function texts(agent: Agent): unknown[] {
  return agent.of("deliver").map(({ text }) => text);
}

function last(agent: Agent): ReportedEvent {
  return agent.of("confchg").at(-1) ?? { event: "none" };
}

describe("a process group", () => {
  test("members see each other join, and get all messages in the same order", async () => {
    const group = newGroup();
    await using one = await joined(1, group);
    await using two = await joined(2, group);
    await eventually("both in both lists", () => {
      return [one, two].every((agent) => (last(agent)["members"] as unknown[]).length === 2);
    });
    expect(last(one)["joined"]).toMatchObject([{ nodeid: 2, reason: CpgReason.JOIN }]);
    expect(await one.do({ op: "members", group })).toEqual(last(two)["members"]);
    await Promise.all([
      one.do({ op: "flood", group, text: "one", count: 300 }),
      two.do({ op: "flood", group, text: "two", count: 300 }),
    ]);
    await eventually("all messages on both", () => {
      return [one, two].every((agent) => texts(agent).length === 600);
    });
    expect(texts(one)).toEqual(texts(two));
    const sent = Array.from({ length: 300 }, (_, at) => `one ${at}`);
    expect(texts(one).filter((text) => String(text).startsWith("one"))).toEqual(sent);
  });

  test("a leave, a close and a death are reported with different reasons", async () => {
    const group = newGroup();
    await using watcher = await joined(1, group);
    const seen = (): unknown[] =>
      watcher
        .of("confchg")
        .flatMap(({ left }) => (left as { reason: number }[]).map((one) => one.reason));
    const leaver = await joined(2, group);
    expect(await leaver.do({ op: "leave", group })).toBe(CsError.OK);
    await eventually("it left", () => seen().length === 1);
    // The connection of a member that left cannot be used again.
    expect(await leaver.do({ op: "join", group })).toBe(CsError.EXIST);
    expect(await leaver.do({ op: "connect", group })).toMatchObject({ nodeid: 2 });
    expect(await leaver.do({ op: "join", group })).toBe(CsError.OK);
    await eventually("it is back", () => (last(watcher)["members"] as unknown[]).length === 2);
    leaver.signal("SIGKILL");
    await eventually("it died", () => seen().length === 2);
    await leaver[Symbol.asyncDispose]();
    expect(seen()).toEqual([CpgReason.LEAVE, CpgReason.PROCESS_DOWN]);
  });

  test("a message of 3 MB, or of 3 bytes, arrives complete and in order", async () => {
    const group = newGroup();
    await using one = await joined(1, group);
    await using two = await joined(2, group);
    expect(await one.do({ op: "mcast", group, text: "before" })).toBe(CsError.OK);
    expect(await one.do({ op: "large", group, text: "abc", size: 3_000_001 })).toBe(CsError.OK);
    const small = { op: "large", group, text: "abc", size: 3 } as const;
    await eventually("it is taken", async () => (await one.do(small)) === CsError.OK);
    expect(await one.do({ op: "mcast", group, text: "after" })).toBe(CsError.OK);
    await eventually("all four", () => two.of("deliver").length === 4);
    const hash = Bun.hash(Buffer.alloc(3_000_001, "abc")).toString(16);
    expect(two.of("deliver")).toMatchObject([
      { text: "before" },
      { size: 3_000_001, hash },
      { text: "abc" },
      { text: "after" },
    ]);
    expect(two.of("dropped")).toEqual([]);
  });

  test("a slow receiver gets the next event when it is done with the last", async () => {
    const group = newGroup();
    await using slow = new Agent(cluster.node(1));
    await slow.do({ op: "connect", group, slowMs: 20 });
    expect(await slow.do({ op: "join", group })).toBe(CsError.OK);
    await slow.do({ op: "flood", group, text: "m", count: 5 });
    await eventually("all are done", () => slow.of("done").length === 5);
    const order = slow.events.filter(({ event }) => event === "deliver" || event === "done");
    expect(order.map(({ event }) => event)).toEqual(
      Array.from({ length: 5 }, () => ["deliver", "done"]).flat(),
    );
  });

  test("that was not joined can only be asked for its members", async () => {
    const group = newGroup();
    await using agent = new Agent(cluster.node(1));
    await agent.do({ op: "connect", group });
    expect(await agent.do({ op: "members", group })).toEqual([]);
    expect(await agent.do({ op: "leave", group })).toBe(CsError.NOT_EXIST);
    expect(await agent.do({ op: "large", group, text: "x", size: 2_000_000 })).toBe(
      CsError.NOT_EXIST,
    );
  });
});

describe("notify bytes", () => {
  test("that a fast sender owes are sent before corosync's token is late", async () => {
    const group = newGroup();
    await using sender = new Agent(cluster.node(1));
    await using witness = await joined(2, group);
    await using local = await joined(1, group);
    const owing = await sender.do({ op: "owe", most: 20_000 });
    expect(owing).toEqual({ owed: 100 });
    // Both corosyncs still work, and the ring has not changed.
    expect(await local.do({ op: "mcast", group, text: "on" })).toBe(CsError.OK);
    await eventually("it is delivered on both", () => {
      return texts(witness).includes("on") && texts(local).includes("on");
    });
    expect(last(witness)).toMatchObject({ left: [] });
    expect(cluster.node(2).corosyncLog).not.toContain("Token has not been received");
  });

  test("that a stopped process owes stop its corosync until it continues", async () => {
    await using sender = new Agent(cluster.node(1));
    const owing = sender.do({ op: "owe", most: 20_000, stops: true });
    await eventually("node 2 is alone", async () => {
      return (await cluster.node(2).view()).ids.join(",") === "2";
    });
    sender.signal("SIGCONT");
    await cluster.agreed([1, 2]);
    expect(await owing).toEqual({ owed: 100 });
  }, 90_000);
});

describe("quorum", () => {
  test("is known before the group change that belongs to it", async () => {
    const group = newGroup();
    await using one = new Agent(cluster.node(1));
    expect(await one.do({ op: "quorum" })).toEqual({
      provider: true,
      track: CsError.OK,
      quorate: true,
    });
    await one.do({ op: "connect", group });
    await one.do({ op: "join", group });
    await using two = await joined(2, group);
    await eventually("both", () => (last(one)["members"] as unknown[])?.length === 2);
    cluster.partition([1], [2]);
    await eventually("the other is gone", () => last(one)["left"], 30_000);
    await eventually("alone", () => (last(one)["members"] as unknown[]).length === 1, 30_000);
    cluster.heal();
    await eventually("together", () => (last(one)["members"] as unknown[]).length === 2, 30_000);
    const seen = one.events.flatMap(({ event, quorate, members }) => {
      if (event === "quorum") return [`quorate ${String(quorate)}`];
      return event === "confchg" ? [`members ${(members as unknown[]).length}`] : [];
    });
    const from = seen.indexOf("members 2");
    expect(seen.slice(from).join(", ")).toBe(
      "members 2, quorate false, members 1, quorate true, members 2",
    );
    expect(two.events.filter(({ event }) => event === "ended")).toEqual([]);
  }, 90_000);
});

describe("cmap", () => {
  test("keys are listed, read and tracked", async () => {
    await using agent = new Agent(cluster.node(1));
    await agent.do({ op: "cmap" });
    const nodes = (await agent.do({ op: "values", prefix: "nodelist.node." })) as object;
    expect(nodes).toEqual({
      "nodelist.node.0.name": "n1",
      "nodelist.node.0.nodeid": "1",
      "nodelist.node.0.quorum_votes": "1",
      "nodelist.node.0.ring0_addr": "10.99.0.1",
      "nodelist.node.1.name": "n2",
      "nodelist.node.1.nodeid": "2",
      "nodelist.node.1.quorum_votes": "1",
      "nodelist.node.1.ring0_addr": "10.99.0.2",
    });
    const all = CmapTrack.ADD | CmapTrack.MODIFY | CmapTrack.DELETE | CmapTrack.PREFIX;
    expect(await agent.do({ op: "track", prefix: "test.", what: all })).toBe(CsError.OK);
    const long = "x".repeat(4000);
    const set = (key: string, type: string, value: string) =>
      cluster.node(1).run("corosync-cmapctl", "-s", "--", key, type, value);
    await set("test.a", "u32", "4294967295");
    await set("test.a", "u32", "5");
    await set("test.long", "str", long);
    await set("test.i8", "i8", "-5");
    await set("test.double", "dbl", "1.5");
    await cluster.node(1).run("corosync-cmapctl", "-d", "test.a");
    await eventually("all changes", () => agent.of("cmap").length === 6);
    expect(agent.of("cmap")).toMatchObject([
      { key: "test.a", what: CmapTrack.ADD, value: "4294967295" },
      { key: "test.a", what: CmapTrack.MODIFY, value: "5" },
      { key: "test.long", what: CmapTrack.ADD, value: long },
      { key: "test.i8", value: "-5" },
      { key: "test.double", value: "1.5" },
      { key: "test.a", what: CmapTrack.DELETE, value: null },
    ]);
    expect(await agent.do({ op: "values", prefix: "test." })).toEqual({
      "test.double": "1.5",
      "test.i8": "-5",
      "test.long": long,
    });
  });
});

describe("cmap's map of statistics", () => {
  test("has other keys than the configuration, and they are read alike", async () => {
    await using agent = new Agent(cluster.node(1));
    await agent.do({ op: "cmap", statistics: true });
    const srp = (await agent.do({ op: "values", prefix: "stats.srp.mcast" })) as object;
    expect(Object.keys(srp)).toEqual([
      "stats.srp.mcast_retx",
      "stats.srp.mcast_rx",
      "stats.srp.mcast_tx",
    ]);
    const link = (await agent.do({ op: "values", prefix: "stats.knet.node2." })) as object;
    expect(link).toMatchObject({ "stats.knet.node2.link0.connected": "1" });
    expect(await agent.do({ op: "values", prefix: "nodelist.node." })).toEqual({});
    await agent.do({ op: "cmap" });
    expect(await agent.do({ op: "values", prefix: "stats." })).toEqual({});
  });
});

describe("corosync's end", () => {
  test("is reported on each connection; connects are refused until it is back", async () => {
    const group = newGroup();
    await using agent = await joined(2, group);
    await agent.do({ op: "quorum" });
    await agent.do({ op: "cmap" });
    await cluster.node(2).stopCorosync();
    await eventually("all three ended", () => agent.of("ended").length === 3);
    const services = agent.of("ended").map(({ service }) => String(service));
    expect(services.toSorted()).toEqual(["cmap", "cpg", "quorum"]);
    expect(agent.of("ended")).toMatchObject([{ error: 2 }, { error: 2 }, { error: 2 }]);
    expect(await agent.do({ op: "mcast", group, text: "x" })).toBe(CsError.LIBRARY);
    expect(await agent.do({ op: "connect", group })).toEqual({ failure: CsError.LIBRARY });
    cluster.node(2).startCorosync();
    await cluster.agreed([1, 2]);
    expect(await agent.do({ op: "connect", group })).toMatchObject({ nodeid: 2 });
    expect(await agent.do({ op: "join", group })).toBe(CsError.OK);
  }, 90_000);
});
