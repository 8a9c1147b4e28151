/** Reading command lines: each kind of value, and the message about each kind of mistake. */
import { describe, expect, test } from "bun:test";
import {
  bytes,
  count,
  flag,
  flagOn,
  hex,
  integer,
  list,
  milliseconds,
  octal,
  oneOf,
  path,
  repeated,
  text,
} from "../../src/cli/args.ts";
import { benchCommand } from "../../src/cli/bench.ts";
import { callOptions } from "../../src/cli/call-perform.ts";
import { ExitCode, UsageFailure } from "../../src/cli/failure.ts";
import { suggest } from "../../src/cli/suggest.ts";
import { daemonOptions } from "../../src/cli/daemon-options.ts";
import { parseFaultRule } from "../../src/cli/inject-rules.ts";
import { optionName, readWords } from "../../src/cli/parse-args.ts";
import { requestIds } from "../../src/cli/request-words.ts";
import { showBytes, showMilliseconds } from "../../src/cli/units.ts";
import { SOURCES } from "../compat/run-compat.ts";

const OPTIONS = {
  socket: text({ description: "Service name", default: "pve2" }),
  dir: path({ description: "Directory" }),
  maxConnections: count({ description: "Connections", default: 100, min: 1, max: 1000 }),
  maxMessage: bytes({ description: "Message", default: 16 * 1024 * 1024 }),
  deadline: milliseconds({ description: "Deadline", default: 2000 }),
  mode: octal({ description: "Mode", default: 0o640, max: 0o7777 }),
  log: oneOf(["plain", "json"], { description: "Log format", default: "plain" }),
  uids: list({ description: "Uids" }),
  inject: repeated({ description: "Faults" }),
  quiet: flag({ description: "Say less", alias: "q" }),
  color: flagOn({ without: "No colour" }),
};

const OPERANDS = {
  id: integer({ description: "Request id", required: true }),
  body: hex({ description: "Body", default: new Uint8Array() }),
  names: list({ description: "Names" }),
};

const read = (...words: string[]) => readWords(words, OPTIONS, OPERANDS);

/** The message of the usage failure; throws when the words are accepted. */
function refused(...words: string[]): string {
  try {
    read(...words);
  } catch (error) {
    if (!(error instanceof UsageFailure)) throw error;
    expect(error.exitCode).toBe(ExitCode.USAGE);
    return error.message;
  }
  throw new Error(`accepted: ${words.join(" ")}`);
}

describe("values", () => {
  test("an option or operand that is not given has its default", () => {
    expect(read("1")).toEqual({
      socket: "pve2",
      dir: undefined,
      maxConnections: 100,
      maxMessage: 16_777_216,
      deadline: 2000,
      mode: 0o640,
      log: "plain",
      uids: [],
      inject: [],
      quiet: false,
      color: true,
      id: 1,
      body: new Uint8Array(),
      names: [],
    });
  });

  test("the value of an option is the next word, or follows =", () => {
    expect(read("1", "--socket", "a").socket).toBe("a");
    expect(read("--socket=a=b", "1").socket).toBe("a=b");
  });

  test("each kind of value is parsed", () => {
    const words = ["--max-connections", "7", "--max-message=1.5M", "--deadline", "250ms"];
    const more = ["--mode", "0600", "--log=json", "--uids", "1,2", "--uids=3", "-q", "--no-color"];
    const faults = ["--inject", "a:b=1,c", "--inject", "d"];
    const values = read(...words, ...more, ...faults, "-3", "00 ff:10", "x", "y,z");
    expect(values).toMatchObject({
      maxConnections: 7,
      maxMessage: 1_572_864,
      deadline: 250,
      mode: 0o600,
      log: "json",
      uids: ["1", "2", "3"],
      inject: ["a:b=1,c", "d"],
      quiet: true,
      color: false,
      id: -3,
      body: new Uint8Array([0, 255, 16]),
      names: ["x", "y", "z"],
    });
  });

  test("words after -- are operands, also if they look like options", () => {
    expect(read("1", "00", "--", "--socket", "--help").names).toEqual(["--socket", "--help"]);
  });

  test("sizes and times are printed as they are accepted", () => {
    expect([0, 1000, 1024, 32_768, 16_777_216].map(showBytes)).toEqual([
      "0",
      "1000",
      "1K",
      "32K",
      "16M",
    ]);
    expect([5, 2000, 1500].map(showMilliseconds)).toEqual(["5ms", "2s", "1500ms"]);
  });
});

describe("wrong usage is refused", () => {
  test("an unknown option gets a suggestion", () => {
    expect(refused("1", "--sokcet", "a")).toMatchInlineSnapshot(
      `"unknown option "--sokcet" (did you mean "--socket"?)"`,
    );
    expect(refused("1", "--max")).toMatchInlineSnapshot(`"unknown option "--max""`);
    expect(refused("1", "--nocolor")).toMatchInlineSnapshot(
      `"unknown option "--nocolor" (did you mean "--no-color"?)"`,
    );
    expect(refused("1", "-x")).toMatchInlineSnapshot(`"unknown option "-x""`);
    expect(refused("1", "--maxConnections=3")).toMatchInlineSnapshot(
      `"unknown option "--maxConnections" (did you mean "--max-connections"?)"`,
    );
  });

  test("a missing value is not taken from the next option", () => {
    const line = "--socket needs a value: --socket TEXT";
    expect(refused("1", "--socket")).toBe(line);
    expect(refused("1", "--socket", "--quiet")).toBe(line);
    expect(refused("1", "--socket", "--")).toBe(line);
    expect(refused("1", "--socket=")).toBe("--socket must not be empty");
    expect(refused("1", "--dir", "")).toBe("--dir must not be empty");
  });

  test("--no- is for switches only, and switches take no value", () => {
    expect(refused("1", "--no-socket")).toContain('unknown option "--no-socket"');
    expect(refused("1", "--quiet=often")).toMatchInlineSnapshot(
      `"--quiet is a switch: "often" is neither true nor false"`,
    );
    expect(refused("1", "--no-quiet=true")).toBe("--no-quiet takes no value");
  });

  test("an option that takes one value is refused when it is given twice", () => {
    expect(refused("1", "--socket", "a", "--socket", "b")).toBe(
      "--socket is given 2 times, but takes one value",
    );
  });

  test.each([
    ["--max-connections", "1e3", '--max-connections: "1e3" is not a whole number'],
    ["--max-connections", "-5", '--max-connections: "-5" is not a whole number'],
    ["--max-connections", "0", "--max-connections: 0 is out of range, it must be 1 to 1000"],
    ["--max-message", "16X", '--max-message: "16X" is not a size such as 4096, 64K or 16M'],
    [
      "--max-message",
      "9999999T",
      "--max-message: 9999999T is out of range, it must be 0 to 9007199254740991",
    ],
    ["--deadline", "1000h", "--deadline: 1000h is out of range, it must be 0ms to 596h"],
    ["--deadline", "soon", '--deadline: "soon" is not a time such as 250ms, 2s or 5m'],
    ["--mode", "0888", '--mode: "0888" is not an octal mode such as 0640'],
    ["--log", "jsno", '--log: "jsno" is not one of plain, json (did you mean "json"?)'],
    ["--uids", "1,,2", "--uids has an empty item"],
  ])("%s %s", (option, word, line) => {
    expect(refused("1", option, word)).toBe(line);
  });

  test("missing, invalid and surplus operands are refused", () => {
    expect(refused()).toBe("ID is missing");
    expect(refused("one")).toBe('ID: "one" is not a whole number');
    expect(refused("1", "abc")).toBe('BODY: "abc" is not pairs of hex digits');
    expect(() => readWords(["a", "b"], {}, { a: text({ description: "A" }) })).toThrow(
      'unexpected argument "b"',
    );
  });
});

function requestTimeout(word: string): number {
  return readWords(["--request-timeout", word], daemonOptions, {}).requestTimeout;
}

test("a request timeout that the kernel's field cannot hold is refused", () => {
  expect(requestTimeout("18h")).toBe(18 * 3_600_000);
  expect(() => requestTimeout("19h")).toThrow(
    "--request-timeout: 19h is out of range, it must be 0ms to 18h",
  );
});

function benchId(word: string): unknown {
  return readWords(["--id", word], benchCommand.options, {})["id"];
}

test("a number that does not fit its field of the wire is refused", () => {
  expect(["-2147483648", "2147483647"].map(benchId)).toEqual([-2_147_483_648, 2_147_483_647]);
  expect(() => benchId("4294967305")).toThrow("it must be -2147483648 to 2147483647");
  for (const options of [benchCommand.options, callOptions]) {
    expect(() => readWords(["--message-size", "4G"], options, {})).toThrow(
      "--message-size: 4G is out of range, it must be 12328 to 4294967295",
    );
  }
  expect(() => requestIds(["4294967305"], "--operation")).toThrow(
    '--operation: "4294967305" is not a request',
  );
});

test("a fault cannot wait longer than a timer can", () => {
  expect(() => parseFaultRule("get-config:delay=1000h", 1)).toThrow(
    'delay: "1000h" is not a time such as 200ms or 2s',
  );
});

test("a fault of the mount is refused without a mount, where it would never occur", () => {
  const words = ["serve", "--dir", "/nonexistent", "--inject", "write:errno=EIO"];
  const { exitCode, stderr } = Bun.spawnSync([...SOURCES, ...words]);
  expect(stderr.toString()).toBe(
    'pmxcfs-ipc: --inject "write:errno=EIO": operations of the mount need --mount\n',
  );
  expect(exitCode).toBe(2);
});

describe("names", () => {
  test("the option of a key has dashes", () => {
    expect(optionName("maxConnectionsPerUid")).toBe("max-connections-per-uid");
  });

  test("a name is suggested for a typo and for its beginning, not for a single letter", () => {
    const names = ["serve", "check", "call", "compat", "explain"];
    expect(suggest("sevre", names)).toBe("serve");
    expect(suggest("chekc", names)).toBe("check");
    expect(suggest("exp", names)).toBe("explain");
    expect(suggest("frobnicate", names)).toBeUndefined();
    expect(suggest("c", names)).toBeUndefined();
  });
});
