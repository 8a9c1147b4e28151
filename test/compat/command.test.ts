/** `compat` as a command: its arguments, its reports, and the ways in which a run ends. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ABSENT, mismatch, steady } from "../../src/tools/compat/expect.ts";
import { ResponseHeader } from "../../src/wire/qb.ts";
import { FakeServer } from "../client/fake-server.ts";
import { native } from "../support/native.ts";
import { startService, uniqueName } from "../support/service.ts";
import { failedIn, OwnTemporary, pointsOf, runProgram, SOURCES } from "./run-compat.ts";

const MINUTES = 180_000;

const answer = (text: string) => ({
  res: 24 + text.length,
  error: 0,
  length: text.length,
  body: Buffer.from(text).toString("hex"),
});
const list = (one: string, other: string) =>
  `{"version": 1, "ids": {${one}, ${other}}, "time": ${one.length}}`;

describe("the command", () => {
  test("--list prints the cases and runs none", async () => {
    const { code, out } = await runProgram(["compat", "--list", "--filter", "flow."]);
    expect(code).toBe(0);
    expect(out.split("\n").filter(Boolean)).toHaveLength(3);
    expect(out).toContain("Flow control 1 makes a send fail");
  });

  test("two services are compared without their times, counters and orders of guests", () => {
    const [a, b] = ['"100": {"node": "a", "version": 3}', '"7": {"version": 44, "node": "b"}'];
    expect(steady(answer(list(a, b)))).toBe(steady(answer(list(b, a))));
    expect(steady(answer('{"time": 1}'))).toBe(steady(answer('{"time": 2}')));
    expect(steady(answer('{"msg": "1"}'))).not.toBe(steady(answer('{"msg": "2"}')));
    expect(steady(answer("plain 1"))).not.toBe(steady(answer("plain 2")));
  });

  test("an answer with an item or a guest too many is wrong", () => {
    const log = { json: { data: [{ msg: "kept" }] } };
    expect(mismatch(log, answer('{"data": [{"msg": "kept", "pri": 7}]}'))).toBeUndefined();
    const more = answer('{"data": [{"msg": "kept"}, {"msg": "older"}]}');
    expect(mismatch(log, more)).toBe("an array of 1 at .data");
    const guests = { json: { "100": { name: "a" }, "101": ABSENT } };
    expect(mismatch(guests, answer('{"100": {"name": "a"}}'))).toBeUndefined();
    const empty = answer('{"100": {"name": "a"}, "101": {}}');
    expect(mismatch(guests, empty)).toBe("nothing at .101");
  });

  test("wrong arguments and unreachable services are named in the error", async () => {
    const none = await runProgram(["compat", "--filter", "no-such-case"]);
    expect([none.code, none.err]).toEqual([2, expect.stringContaining("no case's name contains")]);
    const kind = await runProgram(["compat", "--client", "perl"]);
    expect([kind.code, kind.err]).toEqual([2, expect.stringContaining("not one of libqb, c, own")]);
    const absent = await runProgram(["compat", "--socket", uniqueName("absent")]);
    expect([absent.code, absent.err]).toEqual([1, expect.stringContaining("no process listens")]);
    const dead = await runProgram(["compat", "--command", "echo cannot start; exit 3"]);
    expect([dead.code, dead.err]).toEqual([1, expect.stringContaining("cannot start")]);
  });

  test("exits with 77 if no case could run", async () => {
    await using echo = await startService((name) => [native("qb-echo-server"), name]);
    const words = ["compat", "--socket", echo.name, "--filter", "version."];
    const { code, out } = await runProgram(words);
    expect(code).toBe(77);
    expect(pointsOf(out).every(({ skip }) => skip !== undefined)).toBe(true);
  });

  test("runs all kinds of clients with an empty PATH, so without a compiler", async () => {
    await using echo = await startService((name) => [native("qb-echo-server"), name]);
    const words = ["compat", "--socket", echo.name, "--filter", "handshake.connect"];
    const { code, out } = await runProgram(words, { environment: { PATH: "/nonexistent" } });
    expect(code).toBe(0);
    expect(pointsOf(out).map(({ title, skip }) => [title, skip])).toEqual([
      ["handshake.connect (libqb)", undefined],
      ["handshake.connect (c)", undefined],
      ["handshake.connect (own)", undefined],
    ]);
  });

  test.each([
    ["is absent", ["--socket", uniqueName("absent")], /no process listens/],
    ["does not start", ["--command", "echo cannot start; exit 3"], /cannot start/],
  ])(
    "a service that %s is a TAP bail-out, a JUnit error and a JSON reason",
    async (_, to, says) => {
      using own = new OwnTemporary();
      const file = join(own.path, "junit.xml");
      const { code, out, err } = await runProgram(["compat", ...to, "--junit", file]);
      expect(code).toBe(1);
      expect(out).toStartWith("TAP version 14\n1..");
      expect(out).toMatch(new RegExp(`^Bail out! .*${says.source}`, "m"));
      expect(out).toMatch(/^# 0 passed, 0 failed, 0 skipped, \d+ not run$/m);
      expect(err).toMatch(says);
      const written = readFileSync(file, "utf8");
      expect(written).toContain('errors="1"');
      expect(written).toMatch(says);
      const asJson = await runProgram(["compat", ...to, "--json"]);
      expect((JSON.parse(asJson.out) as { aborted: string }).aborted).toMatch(says);
    },
  );

  test("a failure shows the bytes that differ", async () => {
    using server = new FakeServer(uniqueName("broken"), {
      body: (body) => (body.toString() === "ping" ? Buffer.from("pi\u0007x") : body),
    });
    const words = ["compat", "--socket", server.name, "--client", "own", "--tap"];
    const { out } = await runProgram([...words, "--filter", "handshake.connect"]);
    const [point] = pointsOf(out);
    expect(point?.passed).toBe(false);
    expect(point?.message).toContain(
      'which differs from byte 2 on: 6e 67 \\"ng\\" expected, 07 78',
    );
  });

  test(
    "^C ends with totals, a bail-out and a JUnit file",
    async () => {
      using own = new OwnTemporary();
      const file = join(own.path, "junit.xml");
      const words = ["compat", "--client", "own", "--tap", "--junit", file];
      const { environment } = own;
      const child = Bun.spawn([...SOURCES, ...words], {
        stdin: "ignore",
        stdout: "pipe",
        stderr: "pipe",
        env: { ...process.env, ...environment },
      });
      let out = "";
      let isStopped = false;
      for await (const piece of child.stdout) {
        out += Buffer.from(piece).toString();
        if (!isStopped && /^ok 3 /m.test(out)) child.kill("SIGINT");
        isStopped ||= /^ok 3 /m.test(out);
      }
      expect(await child.exited).toBe(130);
      expect(out).toMatch(/^Bail out! stopped by SIGINT$/m);
      expect(out).toMatch(/^# \d+ passed, 0 failed, \d+ skipped, \d+ not run$/m);
      expect(readFileSync(file, "utf8")).toContain("stopped by SIGINT");
      expect(own.left).toEqual([]);
    },
    MINUTES,
  );

  test("--fail-fast ends the run at the first failure with a TAP bail-out", async () => {
    using server = new FakeServer(uniqueName("broken"), {
      response: (span) => ResponseHeader.write.id(span, 1),
    });
    const words = ["compat", "--socket", server.name, "--fail-fast", "--client", "own"];
    const { code, out } = await runProgram(words);
    expect(code).toBe(1);
    expect(failedIn(out)).toHaveLength(1);
    expect(out).toContain("Bail out! stopped at the first failure");
  });

  test(
    "writes to a running service only with --writes",
    async () => {
      const directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-test-"));
      try {
        await using service = await startService((name) =>
          SOURCES.concat("serve", "--socket", name, "--dir", directory),
        );
        const words = [
          "compat",
          "--socket",
          service.name,
          "--client",
          "own",
          "--filter",
          "log.round",
        ];
        expect((await runProgram(words)).code).toBe(77);
        expect((await runProgram([...words, "--writes"])).code).toBe(0);
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    },
    MINUTES,
  );

  test("the counts in JUnit and JSON are those of their cases", async () => {
    await using echo = await startService((name) => [native("qb-echo-server"), name]);
    const directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-test-"));
    try {
      const file = join(directory, "junit.xml");
      const words = ["compat", "--socket", echo.name, "--filter", "handshake,version.ok", "--json"];
      const { code, out } = await runProgram([...words, "--junit", file, "--seed", "7"]);
      expect(code).toBe(0);
      const report = JSON.parse(out) as Record<string, unknown> & { cases: unknown[] };
      expect(report).toMatchObject({ schema_version: 1, seed: 7, failed: 0 });
      expect(report.cases).toHaveLength(Number(report["passed"]) + Number(report["skipped"]));
      const xml = readFileSync(file, "utf8");
      expect(xml.match(/<testcase /g)).toHaveLength(report.cases.length);
      expect(xml.match(/<skipped /g)).toHaveLength(Number(report["skipped"]));
      expect(xml).toMatch(/^<\?xml version="1.0" encoding="UTF-8"\?>\n<testsuites /);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });

  test(
    "SIGTERM stops every process that the run started, and removes its files",
    async () => {
      using temporary = new OwnTemporary();
      const child = Bun.spawn([...SOURCES, "compat", "--tap"], {
        stdout: "pipe",
        stderr: "pipe",
        env: { ...process.env, ...temporary.environment },
      });
      const chunks = child.stdout[Symbol.asyncIterator]();
      const decoder = new TextDecoder();
      let out = "";
      for (let ended = false; !ended && !out.includes("ok 3 ");) {
        const { value, done } = await chunks.next();
        ended = done === true;
        out += decoder.decode(value, { stream: true });
      }
      expect(out).toContain("ok 3 ");
      const own = `compat-\\w+-${child.pid}`;
      expect(readFileSync("/proc/net/unix", "latin1")).toMatch(new RegExp(own));
      child.kill("SIGTERM");
      // The rest of the output is not read; it fits into the pipe.
      expect(await child.exited).toBe(143);
      expect(await child.stderr.text()).toContain("stopped by SIGTERM");
      expect(readFileSync("/proc/net/unix", "latin1")).not.toMatch(new RegExp(own));
      expect(temporary.left).toEqual([]);
    },
    MINUTES,
  );

  test(
    "on a terminal a live list and totals are shown",
    async () => {
      if (Bun.which("script") === null) throw new Error("no script(1): apt-get install bsdutils");
      const words = [...SOURCES, "compat", "--filter", "handshake.connect,flow.stop"].join(" ");
      const shown = await runProgram(["-qec", words, "/dev/null"], {
        program: ["script"],
        environment: { TERM: "xterm", NO_COLOR: "1" },
      });
      expect(shown.code).toBe(0);
      expect(shown.out).toMatch(/\[1\/6\] handshake\.connect \(libqb\)/);
      expect(shown.out).toMatch(/handshake\.connect +✓ libqb ✓ c ✓ own \d+ ms/);
      expect(shown.out).toMatch(/6 passed, 0 skipped: all passed \(seed \d+\)/);
    },
    MINUTES,
  );

  test("the same seed makes the same random cases", async () => {
    const { allCases } = await import("../../src/tools/compat/cases/index.ts");
    expect(allCases(5)).toEqual(allCases(5));
    expect(allCases(5)).not.toEqual(allCases(6));
    const names = allCases(5).map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });
});
