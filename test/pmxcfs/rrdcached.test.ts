/**
 * RRD files through a real rrdcached (running, absent, stopped, restarted), and through peers that
 * are not rrdcached. No update waits, and the log stays short.
 */
import { describe, expect, spyOn, test } from "bun:test";
import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { Members } from "../../src/pmxcfs/state/members.ts";
import { Memdb } from "../../src/pmxcfs/state/memdb.ts";
import { Versions } from "../../src/pmxcfs/state/versions.ts";
import { Rrd } from "../../src/pmxcfs/state/rrd-values.ts";
import { rrdUpdate } from "../../src/pmxcfs/rrd/formats.ts";
import { Rrdcached } from "../../src/pmxcfs/rrd/rrdcached.ts";
import { Unavailable } from "../../src/pmxcfs/rrd/writer.ts";
import { Status } from "../../src/pmxcfs/state/status.ts";
import { eventually } from "../support/eventually.ts";
import { flush, last, NODE_VALUES, open, settled, TIME } from "../support/rrd-files.ts";
import { RrdcachedFixture } from "../support/rrdcached.ts";

/** Limit for an answer that comes; beside other load it may take long. */
const PATIENT_MS = 30_000;
/** Limit for one that never comes. */
const SHORT_MS = 100;

/** Runs a test against a server that gives these answers. */
async function withPeer(
  answer: (server: Server) => void,
  run: (daemon: Rrdcached) => Promise<void>,
  timeoutMs = PATIENT_MS,
): Promise<void> {
  await using fixture = new RrdcachedFixture();
  const socketPath = join(fixture.directory, "peer.sock");
  const server = createServer();
  answer(server);
  await new Promise<void>((resolve) => {
    server.listen(socketPath, resolve);
  });
  const daemon = new Rrdcached({ socketPath, timeoutMs });
  await run(daemon);
  daemon.close();
  await new Promise((resolve) => {
    server.close(resolve);
  });
  expect(existsSync(socketPath)).toBe(false);
}

async function expectNoAnswer(daemon: Rrdcached): Promise<void> {
  const failure = { reason: "no answer", isAbsent: false };
  expect(await daemon.exchange("X\n", 1)).toMatchObject(failure);
}

/** A server that answers any input with these chunks. */
const answerWith =
  (...chunks: string[]) =>
  (server: Server) => {
    server.on("connection", (socket) => {
      socket.on("error", () => {});
      socket.on("data", () => {
        for (const chunk of chunks) socket.write(chunk);
      });
    });
  };

/** Takes no BATCH, and has no file of guest 101. */
function withoutBatch(server: Server): void {
  server.on("connection", (socket) => {
    socket.on("error", () => {});
    socket.on("data", (commands) => {
      for (const line of String(commands).split("\n").slice(0, -1)) {
        if (line === "BATCH" || line === ".") socket.write("-1 Permission denied.\n");
        else if (line.includes("101")) socket.write("-1 No such file: 101\n");
        else socket.write("0 errors, enqueued 1 value(s).\n");
      }
    });
  });
}

describe("with rrdcached", () => {
  test("the old and the new format of a node go to one file, padded or truncated", async () => {
    await using fixture = new RrdcachedFixture();
    await fixture.start();
    const { files, lines } = open(fixture);
    const file = "pve-node-9.0/n1";
    files.update("pve2-node/n1", `5:sub:${TIME}:${NODE_VALUES}`);
    await settled(files, 1);
    expect(await last(fixture, file)).toBe(
      `${TIME}: 0.1 4 0.02 0.001 100 50 8 1 1000 10 200 300 U U U U U U U`,
    );

    const nineteen = `${NODE_VALUES}:13:14:15:16:17:18:19`;
    files.update("pve-node-9.0/n1", `5::${TIME + 60}:${nineteen}`);
    files.update("pve-node-10.1/n1", `5::${TIME + 120}:${nineteen}:20:21:22`);
    await settled(files, 3);
    expect(await last(fixture, file)).toBe(`${TIME + 120}: ${nineteen.replaceAll(":", " ")}`);
    expect(files.counters).toEqual({ written: 3, rejected: 0, dropped: 0, pending: 0 });
    expect(lines).toEqual([]);
  });

  test("a new file has the step, columns and archives of 9.0", async () => {
    await using fixture = new RrdcachedFixture();
    await fixture.start();
    const { files } = open(fixture);
    files.update("pve2.3-vm/100", `5:web:running:0:${TIME}:4:0.01:8:1:3:0:1:2:3:4`);
    files.update("pve-storage-9.0/n1/local", `${TIME}:100:50`);
    await settled(files, 2);
    await flush(fixture, "pve-vm-9.0/100");
    const info = fixture.rrdtool("info", "pve-vm-9.0/100");
    expect(info).toContain("step = 60");
    const types = info.filter((line) => line.includes("].type = "));
    expect(types.map((line) => line.replace(/^ds\[(.*)\]\.type = "(.*)"$/, "$1 $2"))).toEqual([
      "maxcpu GAUGE",
      "cpu GAUGE",
      "maxmem GAUGE",
      "mem GAUGE",
      "maxdisk GAUGE",
      "disk GAUGE",
      "netin DERIVE",
      "netout DERIVE",
      "diskread DERIVE",
      "diskwrite DERIVE",
      "memhost GAUGE",
      "pressurecpusome GAUGE",
      "pressurecpufull GAUGE",
      "pressureiosome GAUGE",
      "pressureiofull GAUGE",
      "pressurememorysome GAUGE",
      "pressurememoryfull GAUGE",
    ]);
    const archives = [0, 1, 2, 3, 4, 5, 6, 7].map((index) =>
      ["cf", "pdp_per_row", "rows"].map(
        (key) =>
          info
            .find((line) => line.startsWith(`rra[${index}].${key} = `))
            ?.split(" = ")[1]
            ?.replaceAll('"', "") ?? "",
      ),
    );
    const shapes = ["1 1440", "30 1440", "360 1440", "10080 570"];
    expect(archives.map((words) => words.join(" "))).toEqual(
      ["AVERAGE", "MAX"].flatMap((kind) => shapes.map((shape) => `${kind} ${shape}`)),
    );
    expect(info.filter((line) => line.includes("minimal_heartbeat = 120"))).toHaveLength(17);
    expect(await last(fixture, "pve-storage-9.0/n1/local")).toBe(`${TIME}: 100 50`);
  });

  test("an existing file is kept by the next server", async () => {
    await using fixture = new RrdcachedFixture();
    await fixture.start();
    const file = "pve-storage-9.0/n1/local";
    const inodes: number[] = [];
    for (const step of [0, 60]) {
      const { files } = open(fixture);
      files.update("pve2-storage/n1/local", `${TIME + step}:100:${step}`);
      await settled(files, 1);
      files.close();
      expect(await last(fixture, file)).toBe(`${TIME + step}: 100 ${step}`);
      inodes.push(statSync(fixture.path(file)).ino);
    }
    expect(inodes[1]).toBe(inodes[0] ?? 0);
  });

  test("a file that exists is not made again, which is no failure", async () => {
    await using fixture = new RrdcachedFixture();
    await fixture.start();
    const daemon = new Rrdcached({ socketPath: fixture.socketPath });
    const update = rrdUpdate("pve2-storage/n1/s", `${TIME}:1:2`);
    if (typeof update === "string") throw new Error(update);
    const file = { path: fixture.path("s"), layout: update.layout, start: TIME };
    expect(await daemon.create(file)).toBeUndefined();
    const { ino } = statSync(file.path);
    expect(await daemon.create(file)).toBeUndefined();
    expect(statSync(file.path).ino).toBe(ino);
    daemon.close();
  });

  test("a file that was removed is made again, although rrdcached remembers it", async () => {
    await using fixture = new RrdcachedFixture();
    await fixture.start();
    const { files } = open(fixture);
    const file = "pve-storage-9.0/n1/s";
    files.update("pve2-storage/n1/s", `${TIME}:1:2`);
    await settled(files, 1);
    await flush(fixture, file);
    rmSync(fixture.path(file));
    files.update("pve2-storage/n1/s", `${TIME + 60}:3:4`);
    await eventually("it is there again", () => existsSync(fixture.path(file)));
    expect(await last(fixture, file)).toBe(`${TIME + 60}: 3 4`);
  });

  test("many values at once, several per file, are all written", async () => {
    await using fixture = new RrdcachedFixture();
    await fixture.start();
    const { files, lines } = open(fixture);
    for (let guest = 100; guest < 160; guest++) {
      for (let minute = 0; minute < 5; minute++) {
        const time = TIME + minute * 60;
        files.update(`pve-vm-9.0/${guest}`, `5:g:running:0:${time}:${guest}:1:2:3:4:5:6:7`);
      }
    }
    await settled(files, 300);
    expect(files.counters).toMatchObject({ written: 300, rejected: 0 });
    expect(await last(fixture, "pve-vm-9.0/159")).toStartWith(`${TIME + 240}: 159 1 2`);
    expect(lines).toEqual([]);
  });

  test("keys that could be a command or another path are not sent, and logged once", async () => {
    await using fixture = new RrdcachedFixture();
    await fixture.start();
    const { files, lines } = open(fixture);
    const odd = [
      ["whatever/x", "1:2:3"],
      ["", "9:9"],
      ["pve2-node/a/b", "1:2"],
      ["pve2-node/", "1:2"],
      ["pve2-node/..", `1:2:${TIME}:1`],
      ["pve2-node/a\nFLUSHALL", `1:2:${TIME}:1`],
      ["pve2-storage/pve1", "1:2"],
      ["pve2-storage/../x", `${TIME}:1:2`],
      ["pve2-node/n1", "1:2"],
      ["pve2-node/n1", `1:2:${TIME}\nFLUSHALL\n:1`],
    ] as const;
    for (const [key, value] of odd) files.update(key, value);
    files.update("pve2-storage/n1/s", `${TIME}:1\nFLUSHALL:x`);
    await settled(files, odd.length + 1);
    expect(files.counters).toMatchObject({ written: 1, rejected: odd.length });
    expect(readdirSync(fixture.baseDirectory)).toEqual(["pve-storage-9.0"]);
    expect(await last(fixture, "pve-storage-9.0/n1/s")).toBe(`${TIME}: U U`);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('not written: unknown key or value: "rrd/whatever/x"');
  });

  test("a value that rrdcached refuses is counted, and does not stop the others", async () => {
    await using fixture = new RrdcachedFixture();
    await fixture.start();
    const { files, lines } = open(fixture);
    files.update("pve2-storage/n1/s", `${TIME}:1:2`);
    files.update("pve2-storage/n1/s", `${TIME}:1:2`);
    files.update("pve2-storage/n1/s", `${TIME + 60}:3:4`);
    await settled(files, 3);
    expect(files.counters).toMatchObject({ written: 2, rejected: 1 });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain("illegal attempt to update using time");
  });
});

describe("without rrdcached and rrdtool", () => {
  test("one line is logged; the values are written when rrdcached starts", async () => {
    await using fixture = new RrdcachedFixture();
    const { files, lines } = open(fixture, { rrdtool: join(fixture.directory, "missing") });
    files.update("pve2-storage/n1/s", `${TIME}:1:2`);
    await eventually("its absence is noticed", () => lines.length > 0);
    files.update("pve2-storage/n1/s", `${TIME + 60}:3:4`);
    await fixture.start();
    await settled(files, 2);
    expect(await last(fixture, "pve-storage-9.0/n1/s")).toBe(`${TIME + 60}: 3 4`);
    expect(lines).toHaveLength(2);
    expect(lines[0]).toContain(`rrdcached at ${fixture.socketPath}: `);
    expect(lines[1]).toContain("rrdcached answers again");
  });

  test("an invalid value is counted once, however often the valid ones are tried", async () => {
    await using fixture = new RrdcachedFixture();
    const attempts = spyOn(Rrdcached.prototype, "update");
    const { files } = open(fixture, { rrdtool: join(fixture.directory, "missing") });
    files.update("whatever/x", "1:2:3");
    files.update("pve2-storage/n1/s", `${TIME}:1:2`);
    await eventually("the third attempt", () => attempts.mock.calls.length >= 3);
    attempts.mockRestore();
    expect(files.counters.rejected).toBe(1);
  });

  test("a restarted rrdcached is used again", async () => {
    await using fixture = new RrdcachedFixture();
    await fixture.start();
    const { files, lines } = open(fixture, { rrdtool: join(fixture.directory, "missing") });
    files.update("pve2-storage/n1/s", `${TIME}:1:2`);
    await settled(files, 1);
    await flush(fixture, "pve-storage-9.0/n1/s");
    await fixture.stop();
    files.update("pve2-storage/n1/s", `${TIME + 60}:3:4`);
    await eventually("its death is noticed", () => lines.length > 0);
    await fixture.start();
    await settled(files, 2);
    expect(await last(fixture, "pve-storage-9.0/n1/s")).toBe(`${TIME + 60}: 3 4`);
    expect(lines).toHaveLength(2);
  });

  test("the oldest values are dropped when too many wait", async () => {
    await using fixture = new RrdcachedFixture();
    const rrdtool = join(fixture.directory, "missing");
    const { files } = open(fixture, { maxPending: 16, rrdtool });
    for (let minute = 0; minute < 17; minute++) {
      files.update("pve2-storage/n1/s", `${TIME + minute * 60}:1:2`);
    }
    expect(files.counters).toMatchObject({ pending: 15, dropped: 2 });
    await fixture.start();
    await settled(files, 15);
    expect(files.counters).toMatchObject({ written: 15, dropped: 2, pending: 0 });
  });
});

describe("a stopped rrdcached (SIGSTOP)", () => {
  test("delays no answer, is logged once, and gets all values when it continues", async () => {
    await using fixture = new RrdcachedFixture();
    await fixture.start();
    const { files, lines } = open(fixture, { timeoutMs: 500 });
    const rrd = new Rrd();
    const members = new Members({ nodeName: "n1", versions: new Versions({ memdb: new Memdb() }) });
    const status = new Status({ members, rrd, rrdFiles: files });
    const report = (minute: number) =>
      status.set("rrd/pve2-storage/n1/s", Buffer.from(`${TIME + minute * 60}:1:2\0`));
    report(0);
    await settled(files, 1);
    fixture.signal("SIGSTOP");

    // These calls are synchronous: no answer waits.
    let minute = 1;
    await eventually("its silence is noticed, and reported to all the same", () => {
      for (let value = 0; value < 20; value++, minute++) {
        expect(report(minute)).toBe(0);
        expect(rrd.dump().toString()).toBe(`pve2-storage/n1/s:${TIME + minute * 60}:1:2\n\0`);
      }
      return lines.length > 0 && minute > 200;
    });
    expect(files.counters.written).toBe(1);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain("no answer");

    fixture.signal("SIGCONT");
    await settled(files, minute);
    expect(await last(fixture, "pve-storage-9.0/n1/s")).toBe(`${TIME + (minute - 1) * 60}: 1 2`);
    expect(lines).toHaveLength(2);
    expect(lines[1]).toContain("answers again");
    expect(files.counters).toEqual({ written: minute, rejected: 0, dropped: 0, pending: 0 });
  });
});

describe("a peer that is not rrdcached", () => {
  test("replies may arrive in pieces, and have several lines", async () => {
    await withPeer(
      answerWith("2 two l", "ines\nfirst\nsec", "ond\n0 do", "ne\n"),
      async (daemon) => {
        expect(await daemon.exchange("X\n", 2)).toEqual([
          { status: 2, message: "two lines", lines: ["first", "second"] },
          { status: 0, message: "done", lines: [] },
        ]);
      },
    );
  });

  test("an error of several lines does not disturb the next reply", async () => {
    await withPeer(answerWith("-1 no\nsecond line\n"), async (daemon) => {
      const reply = { status: -1, message: "no", lines: [] };
      expect(await daemon.exchange("X\n", 1)).toEqual([reply]);
      expect(await daemon.exchange("Y\n", 1)).toEqual([reply]);
    });
  });

  test("one that refuses BATCH gets single commands, and each reply is for its value", async () => {
    const [good, bad] = ["100", "101"].map((vm) => ({
      path: `/db/pve-vm-9.0/${vm}`,
      values: "N:1",
    }));
    if (good === undefined || bad === undefined) throw new Error("two values");
    await withPeer(withoutBatch, async (daemon) => {
      expect(await daemon.update([good, bad])).toMatchObject({
        reason: "it refuses BATCH (Permission denied.)",
        isAbsent: false,
      });
      for (let round = 0; round < 2; round++) {
        expect(await daemon.update([good, bad, good])).toEqual(
          new Map([[bad, "No such file: 101"]]),
        );
      }
    });
  });

  test("silence, invalid or endless replies and hang-ups are failures with a reason", async () => {
    await withPeer(answerWith(), expectNoAnswer, SHORT_MS);
    await withPeer(answerWith("HTTP/1.1 400 Bad Request\r\n\r\n"), expectNoAnswer, SHORT_MS);
    await withPeer(answerWith("x".repeat(2 << 20)), async (daemon) => {
      expect(await daemon.exchange("X\n", 1)).toMatchObject({ reason: "a reply without end" });
    });
    await withPeer(
      (server) => {
        server.on("connection", (socket) => socket.destroy());
      },
      async (daemon) => {
        expect(await daemon.exchange("X\n", 1)).toBeInstanceOf(Unavailable);
      },
    );
  });
});
