/** `call` with other spellings of paths and commands, its suggestions, and `--wait`. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fixtures from "../../src/tools/compat/fixtures.ts";
import { READ_REQUESTS } from "../../src/pmxcfs/requests/read-requests.ts";
import { REQUESTS } from "../../src/pmxcfs/requests/table.ts";
import { aliasesOf, requestNamed, wordOf } from "../../src/pmxcfs/requests/wording.ts";
import { runProgram, SOURCES, type Finished } from "../compat/run-compat.ts";
import { startService, uniqueName, type Service } from "../support/service.ts";

const directory = fixtures.makeFixtures();
let service: Service;

beforeAll(async () => {
  service = await startService((name) =>
    SOURCES.concat("serve", "--socket", name, "--dir", directory, "--node", fixtures.NODE),
  );
});

afterAll(async () => {
  await service.stop();
  fixtures.removeFixtures(directory);
});

async function call(...words: string[]): Promise<Finished> {
  return await runProgram(["call", ...words, "--socket", service.name]);
}

describe("paths", () => {
  test("a path below /etc/pve is the same path of the tree", async () => {
    expect(await call("get-config", "/etc/pve/storage.cfg")).toMatchObject({
      code: 0,
      out: fixtures.STORAGE_CONFIG,
    });
  });

  test.each([
    ["qemu-server/100.conf", 'did you mean "nodes/pve1/qemu-server/100.conf"?'],
    ["local/qemu-server/100.conf", 'did you mean "nodes/pve1/qemu-server/100.conf"?'],
    ["/etc/pve/qemu-server/100.conf", 'did you mean "nodes/pve1/qemu-server/100.conf"?'],
    ["Storage.cfg", 'did you mean "storage.cfg"?'],
    ["storage.conf", 'did you mean "storage.cfg"?'],
    ["/etc/pve/storge.cfg", 'did you mean "storage.cfg"?'],
    ["nodes/pve1/qemu-server/", "it is a directory"],
    ["nodes", "it is a directory"],
  ])("%s is answered with a hint", async (path, hint) => {
    const { code, err } = await call("get-config", path);
    expect(code).toBe(1);
    expect(err).toContain("ENOENT");
    expect(err).toEndWith(`: ${hint}\n`);
  });

  test("a path unlike any file is answered without a hint", async () => {
    const { code, err } = await call("get-config", "entirely/else");
    expect(code).toBe(1);
    expect(err).toContain("ENOENT");
    expect(err).not.toContain("did you mean");
  });
});

describe("words", () => {
  test("a request is found without get-, and by its name in C", async () => {
    for (const word of ["cluster-log", "get-cluster-log"]) {
      expect(await call(word, "--max", "1")).toMatchObject({ code: 0, err: "" });
    }
    expect(requestNamed("GET_CONFIG")?.id).toBe(6);
    for (const request of REQUESTS) {
      for (const word of [wordOf(request), ...aliasesOf(request)]) {
        expect(requestNamed(word)).toBe(request);
      }
    }
  });

  test.each(["version", "-v", "-V", "--version"])("%s prints the version", async (word) => {
    expect((await runProgram([word])).out).toStartWith("pmxcfs-ipc ");
  });

  test.each(["status", "doctor"])("%s is another name of check", async (word) => {
    const { out } = await runProgram([word, "--help"]);
    expect(out).toStartWith("Usage: pmxcfs-ipc check ");
    expect(out).toBe((await runProgram(["check", "--help"])).out);
  });

  test("a typo gets a suggestion", async () => {
    expect((await call("get-conifg", "x")).err).toContain('did you mean "get-config"?');
    expect((await call("clusterlog")).err).toContain('did you mean "cluster-log"?');
  });

  test.each(["2147483648", "-2147483649", "4294967296"])(
    "the id %s is out of range",
    async (id) => {
      const { code, err } = await runProgram(["call", "raw", id, "--socket", service.name]);
      expect(code).toBe(2);
      expect(err).toContain("out of range");
    },
  );
});

test("a file's control characters are escaped on a terminal, and only there", async () => {
  writeFileSync(join(directory, "odd.cfg"), "a\u001b]0;x\u0007b\n\tc\n");
  expect((await call("get-config", "odd.cfg")).out).toBe("a\u001b]0;x\u0007b\n\tc\n");
  const line = [...SOURCES, "call", "get-config", "odd.cfg", "--socket", service.name].join(" ");
  const { stdout } = Bun.spawnSync(["script", "-qec", line, "/dev/null"], { stdin: "ignore" });
  expect(stdout.toString().replaceAll("\r", "")).toContain(String.raw`a\x1b]0;x\x07b` + "\n");
});

test("each command that --check prints for a read request is accepted unchanged", async () => {
  for (const { request, call: line } of READ_REQUESTS) {
    const words = Bun.spawnSync(["sh", "-c", `printf '%s\\n' ${line}`]).stdout.toString();
    const { code, err } = await call(...words.trimEnd().split("\n"));
    const mayFail = (request.probe?.mayFail ?? []).length > 0;
    expect({ line, code: mayFail ? 0 : code, usage: code === 2 ? err : "" }).toEqual({
      line,
      code: 0,
      usage: "",
    });
  }
});

describe("--wait", () => {
  test("a service that starts during the wait gets the request", async () => {
    const name = uniqueName("late");
    const words = ["call", "get-config", "storage.cfg", "--socket", name, "--wait", "30s"];
    const waiting = runProgram(words);
    const serve = [...SOURCES, "serve", "--socket", name, "--dir", directory, "--node", "pve1"];
    await using late = await startService(() => serve, { name });
    expect(late.name).toBe(name);
    expect(await waiting).toMatchObject({ code: 0, out: fixtures.STORAGE_CONFIG, err: "" });
  }, 60_000);

  test("a call without a service fails after the wait, or suggests --wait", async () => {
    const name = uniqueName("never");
    const { code, err } = await runProgram(["call", "get-rrd-dump", "--socket", name]);
    expect([code, err.includes("--wait 10s")]).toEqual([1, true]);
    const started = performance.now();
    const late = await runProgram(["call", "get-rrd-dump", "--socket", name, "--wait", "500ms"]);
    expect(performance.now() - started).toBeGreaterThan(500);
    expect([late.code, late.err]).toEqual([1, expect.stringContaining("no process listens")]);
  });
});
