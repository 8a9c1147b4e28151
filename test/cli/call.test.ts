/** `call`: each request from the shell, answers as text, bytes and JSON, and failures. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fixtures from "../../src/tools/compat/fixtures.ts";
import { runProgram, SOURCES, type Finished } from "../compat/run-compat.ts";
import { FakeServer } from "../client/fake-server.ts";
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

async function shown(...words: string[]): Promise<string> {
  const { code, out, err } = await call(...words);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  return out;
}

async function json(...words: string[]): Promise<Record<string, unknown>> {
  return JSON.parse(await shown(...words, "--json")) as Record<string, unknown>;
}

describe("a request", () => {
  test("of each kind is answered as text", async () => {
    expect(await shown("get-fs-version")).toMatch(/^starttime +\d+ \(.*Z\)\nclinfo +0\n/);
    expect(await shown("get-cluster-info")).toBe("node pve1, version 0, not in a cluster\n");
    expect(await shown("get-guest-list")).toMatch(/VMID +TYPE +NODE +VERSION\n100 +qemu +pve1 +\d/);
    expect(await shown("get-config", "storage.cfg")).toBe(fixtures.STORAGE_CONFIG);
    expect(await shown("set-status", "key", "--value", "v")).toBe("done\n");
    expect(await shown("get-status", "key", "--node", "pve1")).toBe("v");
    expect(await shown("set-status", "key", "--remove")).toBe("done\n");
    expect(await shown("log-cluster-msg", "--user", "me@pam", "hello")).toBe("done\n");
    expect(await shown("cluster-log", "--user", "me@pam", "--max", "20")).toMatch(
      /^\S+Z pve1 pmxcfs-ipc\[\d+\] <6> me@pam: hello\n$/,
    );
    expect(await shown("get-rrd-dump")).toBe("no figures\n");
    expect(await shown("get-guest-config-property", "--vmid", "100", "name")).toBe(
      "100  name: web-01\n",
    );
    const names = ["name", "cores"];
    expect(await shown("get-guest-config-properties", "--vmid", "100", ...names)).toBe(
      "100  name: web-01\n100  cores: 4\n",
    );
    expect(await shown("verify-token", fixtures.TOKEN)).toBe("done\n");
    expect(await shown("raw", "6", Buffer.from("storage.cfg\0").toString("hex"))).toBe(
      fixtures.STORAGE_CONFIG,
    );
  });

  test("takes a value or a token from a file", async () => {
    const file = join(directory, "value");
    writeFileSync(file, Buffer.from([0, 255, 10]));
    expect(await shown("set-status", "bytes", "--file", file)).toBe("done\n");
    expect(await shown("get-status", "bytes", "--hex")).toBe("00ff0a\n");
    const words = ["call", "verify-token", "--file", "-", "--socket", service.name];
    const token = await runProgram(words, { input: `${fixtures.LAST_TOKEN}\n` });
    expect(token).toMatchObject({ code: 0, out: "done\n" });
  });

  test("is answered as JSON with --json", async () => {
    expect(await json("get-cluster-info")).toEqual({
      schema_version: 1,
      request: "get-cluster-info",
      id: 2,
      error: 0,
      result: { nodename: "pve1", version: 0 },
    });
    const binary = await json("get-config", "lab/binary");
    expect(binary["result"]).toEqual({
      base64: Buffer.from(fixtures.FILES["lab/binary"] ?? "").toString("base64"),
    });
    const guest = await json("get-guest-config-property", "--vmid", "200", "arch");
    expect(guest["result"]).toEqual({ "200": { arch: "amd64" } });
  });

  test("is sent N times with --repeat N, and the times are printed", async () => {
    const { code, out, err } = await call("get-config", "user.cfg", "--repeat", "50");
    expect([code, out]).toEqual([0, String(fixtures.FILES["user.cfg"])]);
    expect(err).toMatch(/^50 calls, each min [\d.]+, median [\d.]+, p99 [\d.]+, max [\d.]+ us\n$/);
  });
});

describe("a failure is one line", () => {
  const FAILURES: readonly (readonly [words: readonly string[], line: RegExp, code: number])[] = [
    [["get-config", "none"], /ENOENT \(No such file.*\): no such file below \/etc\/pve/, 1],
    [["get-status", "none"], /ENOENT .*: no such key, or no such node/, 1],
    [["get-guest-config-property", "--vmid", "5", "name"], /EINVAL .*vmids begin at 100/, 1],
    [["get-guest-config-property", "--vmid", "999", "name"], /ENOENT .*no such guest/, 1],
    [["get-guest-config-property", "--vmid", "101", "name"], /EIO .*config file is empty/, 1],
    [["verify-token", "nobody"], /ENOENT .*has no such token/, 1],
    [["raw", "99"], /ECHRNG .*has no such request/, 1],
    [["get-config", "lab/512k", "--message-size", "64K"], /EMSGSIZE .*--message-size/, 1],
    [["set-status", "nodeip", "--value", "192.0.2.1"], /ENOMEM .*end in a NUL/, 1],
    [["set-status", "key"], /one of --value, --file and --remove is needed/, 2],
    [["set-status", "k".repeat(256), "--remove"], /the key has 256 bytes, at most 255 fit/, 2],
    [["set-status", "key", "--file", "/no/such/file"], /cannot read \/no\/such\/file/, 1],
    [["verify-token"], /one of TOKEN and --file is needed/, 2],
    [["get-guest-config-property", "name"], /--vmid is missing/, 2],
    [["get-config", "x", "--json", "--hex"], /only one of them/, 2],
    [["get-nothing"], /unknown command "get-nothing"/, 2],
  ];

  for (const [words, line, code] of FAILURES) {
    test(words.join(" ").slice(0, 60), async () => {
      const finished = await call(...words);
      expect(finished.err).toMatch(line);
      expect(finished.err.trimEnd().split("\n")).toHaveLength(1);
      expect([finished.code, finished.out]).toEqual([code, ""]);
    });
  }

  test("about an absent service, and about one that does not answer", async () => {
    const absent = await runProgram(["call", "get-fs-version", "--socket", uniqueName("absent")]);
    expect([absent.code, absent.err]).toEqual([
      1,
      expect.stringMatching(/no process listens on @abs/),
    ]);
    using server = new FakeServer(uniqueName(), { instead: () => {} });
    const words = ["call", "get-fs-version", "--socket", server.name, "--timeout", "1s"];
    const hung = await runProgram(words);
    expect([hung.code, hung.err]).toEqual([
      1,
      expect.stringContaining("no answer to request 1 within 1000 ms"),
    ]);
  });
});
