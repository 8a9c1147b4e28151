/**
 * A recording made between real libqb clients and a C server: a replay gives the same clients the
 * same answers, a comparison with a server lists the differences, and it contains no secrets.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Errno } from "../../src/base/errno.ts";
import { silentLog } from "../../src/base/log.ts";
import type { Peer, Reply } from "../../src/ipc/handler.ts";
import { Access } from "../../src/pmxcfs/requests/access.ts";
import { CfsIpc } from "../../src/pmxcfs/requests/table.ts";
import { headerLine, readRecording } from "../../src/tools/trace/recording.ts";
import { Replayer } from "../../src/tools/trace/replay.ts";
import { spanOf } from "../../src/wire/struct.ts";
import { eventually } from "../support/eventually.ts";
import { WWW_DATA } from "../support/identity.ts";
import { QbClient, type Result } from "../support/qb-client.ts";
import { program, type Service, startService } from "../support/service.ts";
import { noRingsLeft } from "../support/shm.ts";
import { makeTree, removeTree, startC, startProxy, TOKEN } from "./support.ts";

setDefaultTimeout(60_000);

const SECRET = "0b1c2d3e";
const STATUS = `${"x".padEnd(256, "\0")}value`;

let directory: string;
let files: string;
let server: Service;

beforeAll(async () => {
  directory = makeTree();
  files = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-test-"));
  server = await startC("qb-answer-server", directory, "pve1");
});

afterAll(async () => {
  await server.stop();
  removeTree(directory);
  rmSync(files, { recursive: true, force: true });
});

/** Sends the requests of two clients, root and www-data; returns their answers. */
async function session(service: string): Promise<Result[]> {
  await using root = await QbClient.open(service);
  await using www = await QbClient.open(service, WWW_DATA);
  return [
    await root.call(CfsIpc.GET_CONFIG, "storage.cfg\0"),
    await www.call(CfsIpc.GET_CONFIG, "storage.cfg\0"),
    await www.call(CfsIpc.GET_CONFIG, "none\0"),
    await root.call(CfsIpc.GET_FS_VERSION),
    await root.call(CfsIpc.SET_STATUS, STATUS),
    await www.call(CfsIpc.SET_STATUS, STATUS),
    await root.call(CfsIpc.GET_FS_VERSION),
    await root.call(CfsIpc.VERIFY_TOKEN, `${TOKEN}\0`),
    await www.call(CfsIpc.GET_CONFIG, "priv/token.cfg\0"),
    await www.call(CfsIpc.GET_GUEST_CONFIG_PROPERTY, "\x64\0\0\0name\0"),
  ];
}

/** Records one session; returns its clients' answers. */
async function record(file: string, ...words: string[]): Promise<Result[]> {
  // This C server has no access rules, so the recorder's permissions are recorded.
  const flags = ["--group", "33", "--no-as-client", ...words];
  await using recorder = await startProxy("record", server.name, file, ...flags);
  const results = await session(recorder.name);
  expect(await recorder.stop()).toBe(0);
  await noRingsLeft(recorder.pid);
  return results;
}

function replay(...words: string[]): { exitCode: number; out: string; complaint: string } {
  const done = Bun.spawnSync([...program(), "replay", ...words]);
  const { exitCode, stdout, stderr } = done;
  return { exitCode, out: stdout.toString(), complaint: stderr.toString() };
}

test("a replay gives the same clients the same answers without the server", async () => {
  const file = join(files, "same.jsonl");
  const recorded = await record(file);
  await using service = await startService((name) => {
    return [...program(), "replay", file, "--socket", name, "--group", "33"];
  });
  const replayed = await session(service.name);
  expect(replayed).toEqual(recorded);
  // Equal requests got their answers in order: the second differs by the status.
  expect(replayed[3]?.body).not.toBe(replayed[6]?.body);
  {
    await using client = await QbClient.open(service.name);
    expect((await client.call(CfsIpc.GET_CONFIG, "never\0")).error).toBe(Errno.ENOSYS);
    expect((await client.call(CfsIpc.GET_FS_VERSION)).body).toBe(recorded[6]?.body);
  }
  expect(await service.stop()).toBe(0);
  expect(service.output).toContain('not recorded: get-config path="never"');
  await noRingsLeft(service.pid);
});

test("of requests that were not recorded, the first 1024 different ones are logged", () => {
  const lines: string[] = [];
  const log = { ...silentLog, warn: (line: string) => void lines.push(line) };
  const recording = readRecording(headerLine("pve2", false));
  if (typeof recording === "string") throw new Error(recording);
  const replayer = new Replayer(recording, new Access({ group: undefined, ownUid: 0 }), log);
  const peer = {} as Peer;
  const caller = { pid: 1, uid: 0, gid: 0, permissions: "read-write" } as const;
  const ask = (path: string): Reply => {
    const span = spanOf(Buffer.from(`${path}\0`));
    return replayer.handle({ id: CfsIpc.GET_CONFIG, span, caller, peer, backToBackNs: 0 });
  };
  for (const twice of [0, 1]) {
    for (let file = 0; file < 2000; file++) {
      expect(ask(`${file}${"x".repeat(2 ** (file % 16))}`)).toBe(Errno.ENOSYS);
    }
    expect([twice, lines.length]).toEqual([twice, 1025]);
  }
  expect(lines[0]).toBe('not recorded: get-config path="0x"');
  expect(lines.at(-1)).toBe(
    "not recorded: more than 1024 different requests; no others are logged",
  );
  expect(Math.max(...lines.map(({ length }) => length))).toBeLessThan(2000);
});

test("a recording has mode 0600, and secrets only with --no-redact", async () => {
  const file = join(files, "redacted.jsonl");
  await record(file);
  const kept = readRecording(readFileSync(file, "utf8"));
  if (typeof kept === "string") throw new Error(kept);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const all = kept.requests.map(({ body, reply }) => `${body.toString()}${reply.toString()}`);
  expect(all.join("")).not.toContain(SECRET);
  expect(all.join("")).toContain("root@pam!ci REDACTED");
  const cut = kept.requests.filter(({ redacted }) => redacted.length > 0);
  expect(cut.map(({ id, redacted }) => [id, redacted])).toEqual([
    [CfsIpc.SET_STATUS, ["body"]],
    [CfsIpc.SET_STATUS, ["body"]],
    [CfsIpc.VERIFY_TOKEN, ["body"]],
  ]);

  const whole = join(files, "whole.jsonl");
  await record(whole, "--no-redact");
  const told = readRecording(readFileSync(whole, "utf8"));
  if (typeof told === "string") throw new Error(told);
  expect(told.requests.map(({ body }) => body.toString()).join("")).toContain(SECRET);
});

test("a private file that root read is not in the recording", async () => {
  const file = join(files, "private.jsonl");
  await using recorder = await startProxy("record", server.name, file);
  {
    await using root = await QbClient.open(recorder.name);
    const { body } = await root.call(CfsIpc.GET_CONFIG, "priv/token.cfg\0");
    expect(Buffer.from(body ?? "", "hex").toString()).toContain(SECRET);
  }
  await recorder.stop();
  const text = readFileSync(file, "utf8");
  expect(text).toContain('"redacted":["reply"]');
  expect(text).not.toContain(Buffer.from(`${TOKEN}\n`).toString("base64"));
});

test("--against --json prints the numbers and the differences", async () => {
  const file = join(files, "against-json.jsonl");
  await record(file);
  const words = ["--against", server.name, "--ignore", "get-fs-version", "--json"];
  const { exitCode, out } = replay(file, ...words);
  const summary = { schema_version: 1, compared: 4, left_out: 6, differences: [] };
  expect(JSON.parse(out)).toEqual(summary);
  expect(exitCode).toBe(0);
});

test("--against finds no difference for the recorded server, and lists another's", async () => {
  const file = join(files, "against.jsonl");
  await record(file);
  const volatile = ["--ignore", "get-fs-version"];
  const same = replay(file, "--against", server.name, ...volatile);
  expect(same).toMatchObject({ exitCode: 0, out: "4 compared, 0 differ, 6 left out\n" });

  writeFileSync(join(directory, "storage.cfg"), "dir: other\n");
  await using other = await startC("qb-answer-server", directory, "pve1");
  const { exitCode, out } = replay(file, "--against", other.name, ...volatile);
  await other.stop();
  writeFileSync(join(directory, "storage.cfg"), "dir: local\n");
  expect(exitCode).toBe(1);
  expect(out).toBe(
    [1, 2]
      .map((number) => {
        const what = `#${number} get-config path="storage.cfg"`;
        return `${what}: 11 bytes recorded, now 11 bytes, different from byte 5 on\n`;
      })
      .join("") + "4 compared, 2 differ, 6 left out\n",
  );
});

/** Requests two events of a control server; returns the events that arrive. */
async function askForEvents(service: string): Promise<Result[]> {
  await using client = await QbClient.open(service);
  const answer = await client.call(100, Buffer.from([2, 0, 0, 0]));
  return [answer, await client.run("event 5000"), await client.run("event 5000")];
}

test("events are replayed after the request they followed", async () => {
  await using control = await startC("qb-control-server");
  const file = join(files, "events.jsonl");
  await using recorder = await startProxy("record", control.name, file);
  const recorded = await askForEvents(recorder.name);
  await recorder.stop();
  await control.stop();
  await using service = await startService((name) => {
    return [...program(), "replay", file, "--socket", name];
  });
  expect(recorded[2]).toMatchObject({ id: 200, error: 0 });
  expect(await askForEvents(service.name)).toEqual(recorded);
});

test("a recording that has no more room consists of whole lines", async () => {
  writeFileSync(join(directory, "large.cfg"), "x".repeat(300_000));
  const file = join(files, "full.jsonl");
  // A limit of 2 MiB for each file, in units of 512 bytes, instead of a full disk.
  await using full = await startC("qb-answer-server", directory, "pve1");
  const limited = ["sh", "-c", "trap '' XFSZ; ulimit -f 4096; exec \"$@\"", "sh", ...program()];
  await using recorder = await startService((name) => {
    return [...limited, "record", file, "--socket", name, "--upstream", full.name];
  });
  await using client = await QbClient.open(recorder.name);
  expect((await client.call(CfsIpc.GET_CONFIG, "large.cfg\0")).error).toBe(0);
  await eventually("the first request is in the file", () => statSync(file).size > 300_000);
  await eventually("the file is full", async () => {
    return (await client.call(CfsIpc.GET_CONFIG, "large.cfg\0")).res < 0;
  });
  expect(await recorder.ended()).toBe(1);
  expect(recorder.output).toContain(`cannot write ${file}: EFBIG`);
  const kept = readRecording(readFileSync(file, "utf8"));
  if (typeof kept === "string") throw new Error(kept);
  expect(kept.requests.length).toBeGreaterThan(0);
});

describe("a failure is one line", () => {
  const cases: readonly (readonly [text: string, message: string])[] = [
    ["hello\n", "it is not a recording"],
    ['{"format":"pmxcfs-ipc-recording","version":2}\n', "it has version 2, this program reads 1"],
    ['{"format":"pmxcfs-ipc-recording","version":1}\n{"kind":"requ', "line 2 is not a JSON object"],
    [
      '{"format":"pmxcfs-ipc-recording","version":1}\n{"kind":"request","id":6}\n',
      "line 2 is not a complete request",
    ],
  ];
  test.each(cases)("%j", (text, message) => {
    const file = join(files, "broken.jsonl");
    writeFileSync(file, text);
    const { exitCode, complaint } = replay(file, "--against", server.name);
    expect(exitCode).toBe(1);
    expect(complaint).toContain(message);
  });

  test("a file that exists is not overwritten", () => {
    const file = join(files, "precious");
    writeFileSync(file, "precious");
    const words = ["record", file, "--socket", "never-x", "--upstream", server.name];
    const { exitCode, stderr } = Bun.spawnSync([...program(), ...words]);
    expect(exitCode).toBe(1);
    expect(stderr.toString()).toContain("EEXIST");
    expect(readFileSync(file, "utf8")).toBe("precious");
  });

  test.each([
    [["--upstream", "never"], 2, "--socket is missing"],
    [["--socket", "never-x", "--upstream", "never"], 1, "no process listens on @never"],
  ])("a recording that does not begin leaves no file: %j", (words, code, why) => {
    const file = join(files, "not-begun.jsonl");
    const { exitCode, stderr } = Bun.spawnSync([...program(), "record", file, ...words]);
    expect(stderr.toString()).toContain(why);
    expect(exitCode).toBe(code);
    expect(existsSync(file)).toBe(false);
  });

  test("neither --socket nor --against is a usage error", () => {
    expect(replay("x")).toMatchObject({ exitCode: 2 });
    expect(replay("x", "--socket", "a", "--against", "b")).toMatchObject({ exitCode: 2 });
  });
});
