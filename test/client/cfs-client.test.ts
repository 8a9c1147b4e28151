/** The twelve calls against our server on a directory, and reconnecting after a restart. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CfsClient } from "../../src/pmxcfs/client/cfs-client.ts";
import { QbFailure } from "../../src/client/failure.ts";
import { PveConnection } from "../../src/pmxcfs/client/pve-connection.ts";
import * as fixtures from "../../src/tools/compat/fixtures.ts";
import { Errno } from "../../src/base/errno.ts";
import { native } from "../support/native.ts";
import { startService, uniqueName, type Service } from "../support/service.ts";
import { eventually } from "../support/eventually.ts";
import { SOURCES } from "../compat/run-compat.ts";
import { ConnectionResponse } from "../../src/wire/qb.ts";
import type { Span } from "../../src/wire/struct.ts";
import { FakeServer } from "./fake-server.ts";

function result<T>(answer: T | Errno | QbFailure): T {
  if (typeof answer === "number" || answer instanceof QbFailure) throw new Error(String(answer));
  return answer;
}

describe("the twelve calls", () => {
  const directory = fixtures.makeFixtures();
  let service: Service;
  let client: CfsClient;

  beforeAll(async () => {
    service = await startService((name) =>
      SOURCES.concat("serve", "--socket", name, "--dir", directory, "--node", fixtures.NODE),
    );
    client = new CfsClient(service.name);
  });

  afterAll(async () => {
    client.close();
    await service.stop();
    fixtures.removeFixtures(directory);
  });

  test("version counters, cluster and guests arrive as objects", async () => {
    const versions = result(await client.getFsVersion());
    expect(versions.files["storage.cfg"]).toBe(1);
    expect(versions.starttime).toBeGreaterThan(1_600_000_000);
    expect(Object.keys(versions.files)).toHaveLength(43);
    expect(result(await client.getClusterInfo()).nodename).toBe(fixtures.NODE);
    const { ids } = result(await client.getGuestList());
    expect(ids["100"]).toMatchObject({ node: fixtures.NODE, type: "qemu" });
  });

  test("a status value is set, read and removed", async () => {
    expect(await client.setStatus("key", Buffer.from("value"))).toBe(true);
    expect(result(await client.getStatus("key")).toString()).toBe("value");
    expect(result(await client.getStatus("key", fixtures.NODE)).toString()).toBe("value");
    expect(result(await client.getFsVersion()).kvstore[fixtures.NODE]).toEqual({ key: 0 });
    expect(await client.setStatus("key")).toBe(true);
    expect(await client.getStatus("key")).toBe(Errno.ENOENT);
    expect(await client.setStatus("key", Buffer.alloc(40_000))).toBe(Errno.EFBIG);
  });

  test("a file's bytes arrive, also 1 MiB; one that is missing is ENOENT", async () => {
    const storage = result(await client.getConfig("storage.cfg"));
    expect(storage.toString()).toBe(fixtures.STORAGE_CONFIG);
    expect(await client.getConfig("none")).toBe(Errno.ENOENT);
    expect(result(await client.getConfig("lab/1m")).byteLength).toBe(1024 * 1024);
  });

  test("an entry of the cluster log comes back with its texts and pid", async () => {
    const entry = { user: "jörg@pve", tag: "test", message: 'said "hi"', priority: 4 };
    expect(await client.logClusterMessage(entry)).toBe(true);
    const [newest] = result(await client.getClusterLog({ max: 1, user: entry.user }));
    expect(newest).toMatchObject({ user: entry.user, tag: "test", msg: 'said "hi"', pri: 4 });
    expect(newest?.pid).toBe(process.pid);
  });

  test("an RRD value comes back in the dump", async () => {
    expect(await client.setStatus("rrd/pve-node-9.0/pve1", Buffer.from("1:2:3\0"))).toBe(true);
    const dump = result(await client.getRrdDump());
    expect(dump.get("pve-node-9.0/pve1")).toEqual(["1", "2", "3"]);
  });

  test("properties arrive by guest, and a token is verified", async () => {
    expect(result(await client.getGuestConfigProperty(100, "name"))).toEqual({
      "100": { name: "web-01" },
    });
    expect(result(await client.getGuestConfigProperties(0, ["memory", "arch"]))).toEqual({
      "100": { memory: "8192" },
      "200": { memory: "512", arch: "amd64" },
    });
    expect(await client.getGuestConfigProperties(100, ["Upper"])).toBe(Errno.EINVAL);
    expect(await client.verifyToken(fixtures.TOKEN)).toBe(true);
    expect(await client.verifyToken("nobody")).toBe(Errno.ENOENT);
  });

  test("arguments that the protocol cannot carry are refused before anything is sent", async () => {
    const bad = await Promise.all([
      client.getConfig("a\0b"),
      client.setStatus("k".repeat(256)),
      client.getGuestConfigProperty(-1, "name"),
      client.getGuestConfigProperties(100, Array<string>(256).fill("name")),
      client.logClusterMessage({ user: "u".repeat(255), tag: "t", message: "m" }),
    ]);
    for (const failure of bad) expect(failure instanceof QbFailure && failure.kind).toBe("size");
  });
});

describe("reconnecting", () => {
  test("the next call after a restart connects to the new server", async () => {
    const name = uniqueName();
    const first = await startService((socket) => [native("qb-echo-server"), socket], { name });
    using connection = new PveConnection(name, { timeoutMs: 5000 });
    const answered = async () => !((await connection.sendRecv(1)) instanceof QbFailure);
    expect(await answered()).toBe(true);
    await first.stop();
    const none = await connection.sendRecv(1);
    expect(none instanceof QbFailure && none.kind).toBe("absent");
    await using _second = await startService((socket) => [native("qb-echo-server"), socket], {
      name,
    });
    expect(await answered()).toBe(true);
  });

  test("while the restart flag exists, a call waits for the server", async () => {
    const restartFlag = join(tmpdir(), uniqueName("restart-flag"));
    writeFileSync(restartFlag, "");
    const name = uniqueName();
    using connection = new PveConnection(name, { timeoutMs: 5000, restartFlag });
    const pending = connection.sendRecv(1, Buffer.from("waited"));
    let settled = false;
    void pending.finally(() => (settled = true));
    // The call must still be trying after its first refusal.
    await eventually("a look at the flag", async () => {
      await Bun.sleep(1);
      return !settled;
    });
    using _server = new FakeServer(name);
    const response = await pending;
    rmSync(restartFlag);
    expect(response instanceof QbFailure ? String(response) : response.body.toString()).toBe(
      "waited",
    );
  });

  test("a server that removes the flag while a connect fails is tried once more", async () => {
    const restartFlag = join(tmpdir(), uniqueName("restart-flag"));
    writeFileSync(restartFlag, "");
    let attempts = 0;
    const answer = (span: Span): void => {
      attempts++;
      if (attempts > 1) return;
      rmSync(restartFlag);
      ConnectionResponse.write.error(span, Errno.EMFILE);
    };
    using server = new FakeServer(uniqueName(), { answer });
    using connection = new PveConnection(server.name, { timeoutMs: 5000, restartFlag });
    const response = await connection.sendRecv(1, Buffer.from("again"));
    expect(response instanceof QbFailure ? String(response) : response.body.toString()).toBe(
      "again",
    );
    expect(attempts).toBe(2);
  });

  test("a server that does not answer is tried again only for restartWaitMs", async () => {
    const restartFlag = join(tmpdir(), uniqueName("restart-flag"));
    writeFileSync(restartFlag, "");
    let attempts = 0;
    using server = new FakeServer(uniqueName(), {
      get silent() {
        attempts++;
        return true;
      },
    });
    for (const [restartWaitMs, most] of [
      [0, 1],
      // Each try takes 100 ms, after a pause of 100 ms.
      [300, 3],
    ] as const) {
      attempts = 0;
      using connection = new PveConnection(server.name, {
        timeoutMs: 100,
        restartFlag,
        restartWaitMs,
      });
      const failure = await connection.connect();
      expect(failure?.kind).toBe("timeout");
      expect(attempts).toBeWithin(1, most + 1);
    }
    rmSync(restartFlag);
  });

  test("a connection that cannot be made is tried once per call, as in IPCC.xs", async () => {
    let attempts = 0;
    const answer = (span: Span): void => {
      attempts++;
      ConnectionResponse.write.error(span, Errno.EMFILE);
    };
    using server = new FakeServer(uniqueName(), { answer });
    using connection = new PveConnection(server.name, { timeoutMs: 5000 });
    const response = await connection.sendRecv(1);
    expect(response instanceof QbFailure && response.kind).toBe("refused");
    expect(attempts).toBe(1);
  });

  test("a call that timed out is not sent twice", async () => {
    let requests = 0;
    using server = new FakeServer(uniqueName(), { instead: () => void requests++ });
    using connection = new PveConnection(server.name, { timeoutMs: 40 });
    const response = await connection.sendRecv(4);
    expect(response instanceof QbFailure && response.kind).toBe("timeout");
    expect(requests).toBe(1);
  });
});
