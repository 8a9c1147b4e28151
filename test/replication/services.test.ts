/**
 * Parts of the cluster runtime that need no corosync: joining again, a clock that is set back, the
 * node list and quorum of a corosync that refuses, changes or ends meanwhile.
 */
import { afterEach, describe, expect, mock, spyOn, test } from "bun:test";
import { silentLog } from "../../src/base/log.ts";
import { Cmap, type CmapCallbacks } from "../../src/corosync/cmap.ts";
import type { CmapValue } from "../../src/corosync/cmap-value.ts";
import { CsError, CsFailure } from "../../src/corosync/cs-error.ts";
import { Quorum, type QuorumCallbacks } from "../../src/corosync/quorum.ts";
import { ClockWatch } from "../../src/pmxcfs/replication/services/clock-watch.ts";
import { factsOf } from "../../src/pmxcfs/replication/services/cluster-facts.ts";
import {
  ConfigurationService,
  type ConfigurationServiceOptions,
} from "../../src/pmxcfs/replication/services/configuration-service.ts";
import { QuorumService } from "../../src/pmxcfs/replication/services/quorum-service.ts";
import { RejoinPolicy } from "../../src/pmxcfs/replication/services/rejoin-policy.ts";
import type { ClusterFacts } from "../../src/pmxcfs/state/members.ts";
import { eventually } from "../support/eventually.ts";

describe("joining again", () => {
  test("is possible at once the first time, then after growing pauses", () => {
    const policy = new RejoinPolicy();
    let now = 0;
    const pauses: number[] = [];
    for (let round = 0; round < 9; round++) {
      policy.left("protocol", 1000, now);
      pauses.push(policy.pauseMs(now));
      now += policy.pauseMs(now);
      expect(policy.mayJoin(now)).toBe(true);
      policy.joined();
    }
    expect(pauses).toEqual([0, 1, 2, 4, 8, 16, 32, 60, 60].map((seconds) => seconds * 1000));
  });

  test("waits 6 s at most, as C does, when the network is cut again and again", () => {
    const policy = new RejoinPolicy();
    let now = 0;
    const pauses: number[] = [];
    for (let round = 0; round < 8; round++) {
      policy.left("no-quorum", 20_000, now);
      pauses.push(policy.pauseMs(now));
      now += policy.pauseMs(now);
      policy.joined();
    }
    expect(pauses).toEqual([0, 1, 2, 4, 6, 6, 6, 6].map((seconds) => seconds * 1000));
    // The pause for faults of the node itself continues from there.
    policy.left("mismatch", 0, now);
    policy.left("mismatch", 0, now);
    expect(policy.pauseMs(now)).toBe(12_000);
  });

  test("is possible at once again after a minute of being synced", () => {
    const policy = new RejoinPolicy();
    policy.left("mismatch", 0, 0);
    policy.left("mismatch", 0, 0);
    policy.left("mismatch", 60_000, 0);
    expect(policy.mayJoin(0)).toBe(true);
  });

  test("never follows a newer version", () => {
    const policy = new RejoinPolicy();
    policy.left("version", 0, 0);
    expect(policy.mayJoin(Number.MAX_SAFE_INTEGER)).toBe(false);
  });
});

describe("a clock", () => {
  test("that is set back is reported once, with the time until which locks are stuck", () => {
    const at = { wall: 1_700_000_000_000, steady: 0 };
    const lines: string[] = [];
    const watch = new ClockWatch({
      wall: () => at.wall,
      steady: () => at.steady,
      locksAfter: (seconds) => (seconds === 1_700_000_000 ? ["a", "b"] : ["wrong time"]),
      report: (text) => lines.push(text),
    });
    const pass = (seconds: number, stepMs: number): void => {
      at.steady += seconds * 1000;
      at.wall += seconds * 1000 + stepMs;
      watch.tick();
    };
    pass(1, 0);
    pass(1, -4000);
    pass(1, 3_600_000);
    expect(lines).toEqual([]);
    pass(1, -3_600_000);
    pass(1, 0);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain("went back by 3600 s: until it shows 2023-11-14T23:13:20");
    expect(lines[0]).toContain("cannot refresh its locks a, b below priv/lock");
  });
});

/** A cmap connection over a map of keys. */
class FakeCmap {
  closed = false;
  /** Answers of the next reads of a key, instead of its value. */
  readonly refusals: [key: string, error: CsError][] = [];
  /** Called before each read of a key. */
  beforeGet: (key: string) => void = () => {};
  /** Awaited before that. */
  hold = Promise.resolve();
  readonly #values = new Map<string, CmapValue>();

  constructor(nodes: readonly string[]) {
    this.set("totem.cluster_name", { kind: "string", value: "c" });
    for (const [index, name] of nodes.entries()) this.addNode(index, name);
  }

  set(key: string, value: CmapValue): void {
    this.#values.set(key, value);
  }

  addNode(index: number, name: string): void {
    const prefix = `nodelist.node.${index}`;
    this.set(`${prefix}.nodeid`, { kind: "integer", value: BigInt(index + 1) });
    this.set(`${prefix}.name`, { kind: "string", value: name });
    this.set(`${prefix}.ring0_addr`, { kind: "string", value: `192.0.2.${index + 1}` });
  }

  remove(key: string): void {
    this.#values.delete(key);
  }

  async get(key: string): Promise<CmapValue | CsError> {
    await this.hold;
    this.beforeGet(key);
    const at = this.refusals.findIndex(([refused]) => refused === key);
    if (at >= 0) return this.refusals.splice(at, 1)[0]?.[1] ?? CsError.TRY_AGAIN;
    return this.#values.get(key) ?? CsError.NOT_EXIST;
  }

  async keys(prefix: string): Promise<string[]> {
    await Promise.resolve();
    return [...this.#values.keys()].filter((key) => key.startsWith(prefix));
  }

  async track(): Promise<CsError> {
    return await Promise.resolve(CsError.OK);
  }

  close(): void {
    this.closed = true;
  }
}

const namesOf = ({ nodes }: ClusterFacts): string[] => nodes.map(({ name }) => name);

/** The service over fakes, one a connection; the facts it reads, and its connection's callbacks. */
function configurationOver(...cmaps: readonly [FakeCmap, ...FakeCmap[]]) {
  const read: string[][] = [];
  const lost: string[] = [];
  const callbacks: CmapCallbacks[] = [];
  let cmap: FakeCmap = cmaps[0];
  spyOn(Cmap, "connect").mockImplementation(async (given) => {
    cmap = cmaps[callbacks.length] ?? cmap;
    callbacks.push(given);
    return await Promise.resolve(cmap as unknown as Cmap);
  });
  const options: ConfigurationServiceOptions = {
    log: silentLog,
    read: (facts) => read.push(namesOf(facts)),
    lost: () => lost.push("confdb"),
  };
  const service = new ConfigurationService(options);
  const changed = (): void => {
    callbacks.at(-1)?.changed({ key: "nodelist.node.1.name", what: 4, value: undefined });
  };
  const ended = (): void => {
    cmap.closed = true;
    callbacks.at(-1)?.ended(new CsFailure(CsError.LIBRARY, "corosync stopped"));
  };
  return { service, read, lost, changed, ended };
}

describe("the node list of corosync", () => {
  afterEach(() => {
    mock.restore();
  });

  test("has every node under its name, or is not read, when corosync refuses a key", async () => {
    for (const key of ["nodelist.node.1.name", "nodelist.node.1.nodeid"]) {
      const cmap = new FakeCmap(["a", "b"]);
      cmap.refusals.push([key, CsError.TRY_AGAIN]);
      expect(await factsOf(cmap as unknown as Cmap)).toBe(CsError.TRY_AGAIN);
    }
    const cmap = new FakeCmap(["a", "b"]);
    // Removed between the list of keys and the read: the rest is read.
    cmap.beforeGet = (read) => {
      if (read !== "nodelist.node.0.name") return;
      for (const field of ["nodeid", "name", "ring0_addr"]) cmap.remove(`nodelist.node.1.${field}`);
    };
    const facts = await factsOf(cmap as unknown as Cmap);
    expect(namesOf(facts as ClusterFacts)).toEqual(["a"]);
  });

  test("is read again until it is complete, when a read after a change was refused", async () => {
    const cmap = new FakeCmap(["a"]);
    const { service, read, changed } = configurationOver(cmap);
    expect(await service.start()).toBeUndefined();
    cmap.addNode(1, "b");
    cmap.refusals.push(["nodelist.node.1.name", CsError.TRY_AGAIN]);
    changed();
    await eventually("both nodes are read", () => read.at(-1)?.length === 2);
    expect(read).toEqual([["a"], ["a", "b"]]);
    await service.stop();
  });

  test("is read again when it changed during the first read", async () => {
    const cmap = new FakeCmap(["a"]);
    const { service, read, changed } = configurationOver(cmap);
    cmap.beforeGet = (key) => {
      if (key !== "nodelist.node.0.ring0_addr") return;
      cmap.beforeGet = () => {};
      cmap.addNode(1, "b");
      changed();
    };
    expect(await service.start()).toBeUndefined();
    await eventually("both nodes are read", () => read.at(-1)?.length === 2);
    await service.stop();
  });

  test("is read over another connection when the first read threw", async () => {
    const cmap = new FakeCmap(["a"]);
    const { service, read } = configurationOver(cmap);
    const push = spyOn(read, "push").mockImplementationOnce(() => {
      throw new Error("a bug of ours");
    });
    expect(service.start()).rejects.toThrow("a bug of ours");
    await eventually("it is read", () => push.mock.calls.length === 1);
    expect([service.isUp, cmap.closed]).toEqual([false, true]);
    cmap.closed = false;
    expect(await service.start()).toBeUndefined();
    expect([service.isUp, read]).toEqual([true, [["a"]]]);
    await service.stop();
  });

  test("is read after each change when a connection ended while it was read", async () => {
    const [first, second] = [new FakeCmap(["a"]), new FakeCmap(["a"])];
    const [firstRead, secondRead] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const { service, read, changed, ended } = configurationOver(first, second);
    expect(await service.start()).toBeUndefined();
    first.hold = firstRead.promise;
    changed();
    ended();
    second.beforeGet = (key) => {
      if (key !== "nodelist.node.0.ring0_addr") return;
      second.beforeGet = () => {};
      second.hold = secondRead.promise;
      changed();
    };
    expect(await service.start()).toBeUndefined();
    firstRead.resolve();
    await Bun.sleep(1);
    secondRead.resolve();
    await eventually("the change is read", () => read.length >= 3);
    second.addNode(1, "b");
    changed();
    await eventually("both nodes are read", () => read.at(-1)?.length === 2);
    await service.stop();
  });

  test("is not taken from a connection that ended during the first read", async () => {
    const cmap = new FakeCmap(["a"]);
    const { service, lost, ended } = configurationOver(cmap);
    cmap.beforeGet = (key) => {
      if (key === "nodelist.node.0.ring0_addr") ended();
    };
    expect(await service.start()).toBeInstanceOf(CsFailure);
    expect([service.isUp, lost]).toEqual([false, ["confdb"]]);
  });
});

/** The service over a connection whose `track` reports quorum, then does the rest. */
function trackedBy(
  rest: (quorum: { closed: boolean }) => CsError,
  answer: (changed: QuorumCallbacks["changed"]) => boolean = () => true,
) {
  let given: QuorumCallbacks | undefined;
  const end = new CsFailure(CsError.LIBRARY, "corosync stopped");
  const quorum = {
    closed: false,
    hasProvider: async () => await Promise.resolve(true),
    async track() {
      await Promise.resolve();
      given?.changed({ quorate: true, ringSeq: 1n, nodes: [1] });
      const error = rest(quorum);
      if (quorum.closed) given?.ended(end);
      return error;
    },
    async quorate() {
      await Promise.resolve();
      return answer((state) => given?.changed(state));
    },
    drain() {},
    close() {
      quorum.closed = true;
    },
  };
  spyOn(Quorum, "connect").mockImplementation(async (callbacks) => {
    given = callbacks;
    return await Promise.resolve(quorum as unknown as Quorum);
  });
  return new QuorumService({ log: silentLog, changed: () => {}, lost: () => {} });
}

describe("the quorum service", () => {
  afterEach(() => {
    mock.restore();
  });

  test("is started again when its connection ended with the last answer of the start", async () => {
    const service = trackedBy((quorum) => {
      quorum.closed = true;
      return CsError.OK;
    });
    expect(await service.start()).toBeInstanceOf(CsFailure);
    expect([service.isUp, service.quorate]).toEqual([false, false]);
  });

  test("reports no quorum without a connection, also after a start that failed late", async () => {
    const service = trackedBy(() => CsError.TIMEOUT);
    expect(await service.start()).toBeInstanceOf(CsFailure);
    expect([service.isUp, service.quorate, service.nodes]).toEqual([false, false, []]);
  });

  test("takes the answer to a query, but not one that an event has overtaken", async () => {
    let asked = 0;
    const answer = (changed: QuorumCallbacks["changed"]): boolean => {
      // corosync answered true before quorum was lost, but the event is seen first.
      if (++asked === 1) changed({ quorate: false, ringSeq: 2n, nodes: [1] });
      return asked !== 2;
    };
    const service = trackedBy(() => CsError.OK, answer);
    expect(await service.start()).toBeUndefined();
    await service.refresh();
    expect([asked, service.quorate]).toEqual([2, false]);
    await service.refresh();
    expect([asked, service.quorate]).toEqual([3, true]);
  });
});
