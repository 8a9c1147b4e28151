/**
 * The compatibility runner against correct servers, which must pass, and against servers with one
 * fault, for which exactly the cases about that fault must fail.
 */
import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Errno } from "../../src/base/errno.ts";
import { ResponseHeader } from "../../src/wire/qb.ts";
import { FakeServer, type Fault } from "../client/fake-server.ts";
import { native, REPOSITORY } from "../support/native.ts";
import { startService, uniqueName } from "../support/service.ts";
import { failedIn, OwnTemporary, pointsOf, runProgram, SOURCES } from "./run-compat.ts";

const MINUTES = 180_000;

describe("correct servers", () => {
  test(
    "our own passes every case with every kind of client",
    async () => {
      using own = new OwnTemporary();
      const { environment } = own;
      const { code, out, err } = await runProgram(["compat", "--seed", "1"], { environment });
      expect({ failed: failedIn(out), err }).toEqual({ failed: [], err: "" });
      expect(code).toBe(0);
      const ran = pointsOf(out).filter(({ skip }) => skip === undefined);
      const count = (flavor: string) => ran.filter(({ title }) => title.includes(flavor)).length;
      expect(count("(own)")).toBeGreaterThan(80);
      expect(count("(libqb)")).toBe(count("(own)"));
      expect(count("(c)")).toBe(count("(own)") + 1);
      expect(own.left).toEqual([]);
    },
    MINUTES,
  );

  test(
    "a C server on libqb passes all cases about the transport, events and flow control",
    async () => {
      const command = `${native("qb-control-server")} {socket} --accept-any`;
      const { code, out } = await runProgram(["compat", "--seed", "2", "--command", command]);
      expect(failedIn(out)).toEqual([]);
      expect(code).toBe(0);
      const ran = pointsOf(out).filter(({ skip }) => skip === undefined);
      for (const group of [
        "handshake",
        "sizes",
        "traffic",
        "connections",
        "end",
        "events",
        "flow",
      ]) {
        expect(ran.some(({ title }) => title.startsWith(`${group}.`))).toBe(true);
      }
      const versions = pointsOf(out).filter(({ title }) => title.startsWith("version.ok"));
      expect(versions.map(({ skip }) => skip)).toEqual(Array(3).fill("no service here is pmxcfs"));
    },
    MINUTES,
  );

  test(
    "two servers with the same behaviour do not differ",
    async () => {
      await using c = await startService((name) => [native("qb-echo-server"), name]);
      await using ours = await startService((name) => [...SOURCES, "echo", "--socket", name]);
      const words = ["compat", "--socket", c.name, "--reference", ours.name, "--seed", "3"];
      const { code, out } = await runProgram([...words, "--filter", "sizes,traffic,random"]);
      expect(out).toMatch(/^\d+ cases ran on both, 0 differ\n$/);
      expect(code).toBe(0);
    },
    MINUTES,
  );

  test(
    "the built program starts itself for its clients",
    async () => {
      const binary = join(REPOSITORY, "dist", "pmxcfs-ipc");
      if (!existsSync(binary)) throw new Error("dist/pmxcfs-ipc is missing: bun build.ts");
      const words = ["compat", "--filter", "handshake.connect,version.ok,events.three"];
      const { code, out, err } = await runProgram(words, { program: [binary] });
      expect({ failed: failedIn(out), err }).toEqual({ failed: [], err: "" });
      expect(code).toBe(0);
      expect(pointsOf(out)).toHaveLength(9);
    },
    MINUTES,
  );
});

interface Broken {
  /** The fault in words. */
  readonly fault: string;
  readonly injected: Fault;
  /** Cases that must fail, and their messages; all others of WATCHED must pass. */
  readonly fails: Readonly<Record<string, RegExp>>;
}

const WATCHED = ["handshake.absent", "handshake.connect", "traffic.repeat", "end.request"];

const BROKEN: readonly Broken[] = [
  {
    fault: "never reads the notify bytes",
    injected: { neverReadsNotifies: true },
    fails: {
      "traffic.repeat (libqb)": /did not return within/,
      "traffic.repeat (c)": /did not return within/,
      "traffic.repeat (own)": /left \d+ wake-up bytes unread|did not return within/,
    },
  },
  {
    fault: "writes a wrong size into the header",
    injected: {
      response: (span) => ResponseHeader.write.size(span, ResponseHeader.read.size(span) + 8),
    },
    fails: {
      "handshake.connect (libqb)": /header says 36 bytes, 28 arrived/,
      "handshake.connect (c)": /header says 36 bytes, 28 arrived/,
      "handshake.connect (own)": /EBADMSG/,
      "traffic.repeat (own)": /EBADMSG/,
      "end.request (libqb)": /header says 36/,
      "end.request (c)": /header says 36/,
      "end.request (own)": /EBADMSG/,
    },
  },
  {
    fault: "answers another id",
    injected: {
      response: (span) => ResponseHeader.write.id(span, ResponseHeader.read.id(span) + 1),
    },
    fails: {
      "handshake.connect (libqb)": /has id 10, not 9/,
      "handshake.connect (c)": /has id 10, not 9/,
      "handshake.connect (own)": /has id 10, not 9/,
      "traffic.repeat (libqb)": /answers do not match their requests/,
      "traffic.repeat (c)": /answers do not match their requests/,
      "traffic.repeat (own)": /EBADMSG/,
      "end.request (libqb)": /has id 10/,
      "end.request (c)": /has id 10/,
      "end.request (own)": /has id 10/,
    },
  },
];

describe("a server that", () => {
  for (const { fault, injected, fails } of BROKEN) {
    test(
      `${fault} fails the cases about that, and no others`,
      async () => {
        using server = new FakeServer(uniqueName("broken"), injected);
        const words = ["compat", "--socket", server.name, "--deadline", "4s", "--tap"];
        const { code, out } = await runProgram([...words, "--filter", WATCHED.join(",")]);
        const failed = pointsOf(out).filter(({ passed }) => !passed);
        const found = Object.fromEntries(failed.map(({ title, message }) => [title, message]));
        const wanted = Object.entries(fails).map(([title, says]) => {
          return [title, expect.stringMatching(says)] as const;
        });
        expect(found).toEqual(Object.fromEntries(wanted) as Record<string, string>);
        expect(code).toBe(1);
      },
      MINUTES,
    );
  }
});

/** The failures of one case, by kind of client. */
async function failuresOf(
  name: string,
  injected: Fault,
  more: readonly string[] = [],
): Promise<Record<string, string>> {
  using server = new FakeServer(uniqueName("broken"), injected);
  const words = ["compat", "--socket", server.name, "--tap", "--filter", name, ...more];
  const { out } = await runProgram(words);
  const points = pointsOf(out);
  expect(points.filter(({ skip }) => skip !== undefined)).toEqual([]);
  const failed = points.filter(({ passed }) => !passed);
  return Object.fromEntries(failed.map(({ title, message }) => [title, message]));
}

test(
  "a server that waits for a client that does not read fails the case about that",
  async () => {
    const name = "connections.slow-reader";
    const says = expect.stringMatching(/repeat.*client b.*0 of 20 answers/);
    expect(await failuresOf(name, { waitsForReaders: true })).toEqual({
      [`${name} (libqb)`]: says,
      [`${name} (c)`]: says,
      [`${name} (own)`]: says,
    });
  },
  MINUTES,
);

/** An answer to the request of the case, with a byte too many. */
function withOneMore(asked: Buffer): Buffer {
  return asked.toString() === "round trip" ? Buffer.concat([asked, Buffer.of(1)]) : asked;
}

test(
  "a server that adds bytes to its answers fails the case that repeats a request",
  async () => {
    const name = "traffic.repeat";
    const says = expect.stringMatching(/1000 answers do not match their requests/);
    expect(await failuresOf(name, { body: withOneMore })).toEqual({
      [`${name} (libqb)`]: says,
      [`${name} (c)`]: says,
      [`${name} (own)`]: says,
    });
  },
  MINUTES,
);

/** A pmxcfs with the version of one status key, which lies before another key. */
function withKeys(forgets: boolean): Fault {
  let version: number | undefined;
  return {
    body(asked) {
      if (asked.length === 0) {
        const key = version === undefined ? "" : `"pmxcfs-ipc-compat/key": ${version},\n`;
        const keys = `"pve1": {\n${key}"tasklist": 5}\n`;
        return Buffer.from(`{\n"starttime": 1,\n"kvstore": {\n${keys}}\n}\n`);
      }
      if (asked.length > 256) version = version === undefined ? 0 : version + 1;
      else if (asked.length === 256 && forgets) version = undefined;
      return Buffer.alloc(0);
    },
    response(span) {
      if (ResponseHeader.read.id(span) === 9) ResponseHeader.write.error(span, Errno.ECHRNG);
    },
  };
}

test("the versions of status keys are checked whatever the order of the keys", async () => {
  const words = ["--writes", "--client", "own"];
  const name = "status.version";
  expect(await failuresOf(name, withKeys(true), words)).toEqual({});
  const says = expect.stringMatching(/expected text that matches .*pmxcfs-ipc-compat/);
  expect(await failuresOf(name, withKeys(false), words)).toEqual({ [`${name} (own)`]: says });
});

test(
  "a service with hundreds of guests passes the cases about the requests",
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-test-"));
    try {
      const guests = join(directory, "nodes", "pve1", "qemu-server");
      mkdirSync(guests, { recursive: true });
      for (let vmid = 100; vmid < 600; vmid++) writeFileSync(join(guests, `${vmid}.conf`), "");
      await using service = await startService((name) =>
        SOURCES.concat("serve", "--socket", name, "--dir", directory, "--node", "pve1"),
      );
      const words = [
        "compat",
        "--socket",
        service.name,
        "--filter",
        "guest-list.ok,pipeline.mixed",
      ];
      const { code, out } = await runProgram(words);
      expect(failedIn(out)).toEqual([]);
      expect(code).toBe(0);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  },
  MINUTES,
);

test("a pmxcfs that answers an unused id with EINVAL fails the case about that", async () => {
  using server = new FakeServer(uniqueName("broken"), {
    body: (body) => Buffer.from(body.length === 0 ? '{\n"starttime": 1\n}\n' : ""),
    response(span) {
      if (ResponseHeader.read.id(span) === 9) ResponseHeader.write.error(span, Errno.EINVAL);
    },
  });
  const words = ["compat", "--socket", server.name, "--client", "own", "--filter", "unknown.ids"];
  const { code, out } = await runProgram(words);
  expect(failedIn(out)).toEqual([expect.stringContaining("expected error ECHRNG")]);
  expect(code).toBe(1);
});
