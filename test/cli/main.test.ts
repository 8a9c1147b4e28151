/**
 * The command line: the command that runs, its values, its exit code, and one line on stderr for
 * each failure. On a small tree of commands; of the program's own tree, only the help is checked.
 */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { count, flag, flagOn, path, text } from "../../src/cli/args.ts";
import { command, commandGroup } from "../../src/cli/command.ts";
import { programPlaces } from "../../packaging/tree.ts";
import { ClosedOutput, CommandFailure } from "../../src/cli/failure.ts";
import { helpText } from "../../src/cli/help.ts";
import { runCommandLine } from "../../src/cli/main.ts";
import { optionName } from "../../src/cli/parse-args.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");

const greet = command({
  name: "greet",
  summary: "Greet somebody",
  details: [
    "A paragraph long enough to be broken, because a terminal is only eighty columns wide.",
  ],
  options: {
    times: count({ description: "How often", default: 1, max: 10 }),
    loud: flag({ description: "Shout", alias: "l" }),
    color: flagOn({ without: "Never use colour" }),
    budget: count({ description: "Time it may take", default: 20, unit: "us", group: "Limits" }),
  },
  operands: { name: text({ description: "Whom to greet", required: true }) },
  examples: [["greet world", "Greets the world"]],
  exits: [[3, "Nobody there"]],
  run: ({ name, times, loud }) => {
    if (name === "nobody") return 3;
    if (name === "bug") throw new TypeError("undefined is\n  not a function");
    if (name === "escape") throw new TypeError("a\u001B[2Jb");
    if (name === "pipe") throw new ClosedOutput();
    if (name === "stranger") throw new CommandFailure("strangers are not greeted");
    calls.push(`${loud ? "HELLO" : "hello"} ${name} ${times}`);
    return undefined;
  },
});

/** The commands that ran, with their values. */
const calls: string[] = [];

const tree = commandGroup(
  { name: "tool", summary: "A tool" },
  {
    greet: async () => greet,
    check: async () => command({ name: "check", summary: "Check things", run: () => 1 }),
    file: async () =>
      commandGroup(
        { name: "file", summary: "Work on files" },
        {
          show: async () =>
            command({
              name: "show",
              summary: "Show one",
              operands: { file: path({ description: "File", required: true }) },
              run: ({ file }) => void calls.push(`show ${file}`),
            }),
        },
      ),
  },
  { "--check": "check", welcome: "greet" },
);

async function run(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = "";
  let err = "";
  calls.length = 0;
  const stage = {
    out: (words: string) => void (out += words),
    err: (words: string) => void (err += words),
    debug: false,
  };
  const code = await runCommandLine(argv, stage, tree);
  return { code, out, err };
}

function start(words: readonly string[], environment: Record<string, string> = {}) {
  const env = { PATH: process.env["PATH"] ?? "", ...environment };
  return Bun.spawnSync([process.execPath, MAIN, ...words], { env });
}

describe("finding and running", () => {
  test("a command gets its values, and its result is the exit code", async () => {
    expect(await run("greet", "world", "--times", "2", "-l")).toEqual({
      code: 0,
      out: "",
      err: "",
    });
    expect(calls).toEqual(["HELLO world 2"]);
    expect((await run("greet", "nobody")).code).toBe(3);
  });

  test("a command of a group runs, and no other command", async () => {
    expect((await run("file", "show", "a")).code).toBe(0);
    expect(calls).toEqual(["show a"]);
  });

  test("--check without a command runs the check command", async () => {
    expect((await run("--check")).code).toBe(1);
    expect((await run("check")).code).toBe(1);
  });
});

describe("a failure is one line", () => {
  test.each([
    [[], 2, "pmxcfs-ipc: a command is missing, one of: greet, check, file (tool --help)\n"],
    [["great"], 2, 'pmxcfs-ipc: unknown command "great" (did you mean "greet"?)\n'],
    [["file", "shwo"], 2, 'pmxcfs-ipc: unknown command "shwo" (did you mean "show"?)\n'],
    [["--chekc"], 2, 'pmxcfs-ipc: unknown option "--chekc" (did you mean "--check"?)\n'],
    [["--hepl"], 2, 'pmxcfs-ipc: unknown option "--hepl" (did you mean "--help"?)\n'],
    [
      ["file", "--quick", "show"],
      2,
      'pmxcfs-ipc: unknown option "--quick" before a command: options come after it\n',
    ],
    [["greet"], 2, "pmxcfs-ipc: NAME is missing\n"],
    [
      ["greet", "x", "--time", "3"],
      2,
      'pmxcfs-ipc: unknown option "--time" (did you mean "--times"?)\n',
    ],
    [["greet", "stranger"], 1, "pmxcfs-ipc: strangers are not greeted\n"],
    [
      ["greet", "bug"],
      1,
      "pmxcfs-ipc: unexpected error: undefined is not a function (PMXCFS_IPC_DEBUG=1 shows where)\n",
    ],
    [
      ["greet", "escape"],
      1,
      String.raw`pmxcfs-ipc: unexpected error: a\x1b[2Jb (PMXCFS_IPC_DEBUG=1 shows where)` + "\n",
    ],
    [["greet", "pipe"], 141, ""],
  ])("%j", async (argv, code, err) => {
    expect(await run(...argv)).toEqual({ code, out: "", err });
  });
});

describe("help", () => {
  test("of a group lists its commands", async () => {
    expect((await run("--help")).out).toMatchInlineSnapshot(`
      "Usage: tool COMMAND ...

      A tool.

      Commands:
        greet  Greet somebody
        check  Check things
        file   Work on files

      Options:
        -h, --help     Show this help
        -V, --version  Show version and protocol details
      "
    `);
  });

  test("of a command has defaults, units and groups", async () => {
    expect((await run("greet", "--help")).out).toMatchInlineSnapshot(`
      "Usage: tool greet [options] NAME

      Greet somebody.

      A paragraph long enough to be broken, because a terminal is only eighty columns
      wide.

      Arguments:
        NAME  Whom to greet

      Options:
        --times N   How often (default: 1)
        -l, --loud  Shout
        --no-color  Never use colour
        -h, --help  Show this help

      Limits:
        --budget N  Time it may take, us (default: 20)

      Exit codes:
        3  Nobody there

      Examples:
        tool greet world
            Greets the world
      "
    `);
  });

  test("is printed for -h, --help and help COMMAND, and no command runs", async () => {
    const help = await run("greet", "world", "-h");
    expect(help).toEqual(await run("help", "greet"));
    expect(help).toEqual(await run("greet", "--help"));
    expect(calls).toEqual([]);
    expect((await run("greet", "--", "--help")).out).toBe("");
  });

  test("of every command of the program has all options, in at most 80 columns", async () => {
    for (const { path: names, command: loaded } of await programPlaces()) {
      const help = await helpText(names, loaded);
      expect(loaded.text.name).toBe(names.at(-1) ?? "");
      // A command line to copy must not be broken.
      const prose = help.split("\n").filter((line) => !line.startsWith("  pmxcfs-ipc "));
      expect(prose.filter((line) => line.length > 80)).toEqual([]);
      for (const [key, option] of Object.entries(loaded.options)) {
        expect(help).toMatch(new RegExp(`--(no-)?${optionName(key)}\\b`));
        expect(option.description).not.toBe("");
      }
    }
  });
});

describe("the process", () => {
  test("--version prints the versions of the program and of Bun, and the handshake", () => {
    const { exitCode, stdout, stderr } = start(["--version"]);
    expect(exitCode).toBe(0);
    expect(stderr.toString()).toBe("");
    expect(stdout.toString()).toMatch(/^pmxcfs-ipc \d+\.\d+\.\d+ \(git .+\), Bun \d/);
    expect(stdout.toString()).toContain("handshake id -1, answer 12328 bytes");
  });

  test("wrong usage ends with exit code 2 and one line, without a stack trace", () => {
    const { exitCode, stdout, stderr } = start(["frobnicate"]);
    expect({ exitCode, stdout: stdout.toString(), stderr: stderr.toString() }).toEqual({
      exitCode: 2,
      stdout: "",
      stderr: 'pmxcfs-ipc: unknown command "frobnicate"\n',
    });
  });

  test("PMXCFS_IPC_DEBUG=1 adds the stack trace of a failure", () => {
    const { stderr } = start(["frobnicate"], { PMXCFS_IPC_DEBUG: "1" });
    expect(stderr.toString()).toMatch(/UsageFailure[^]*\n\s+at .*main\.ts/);
  });

  test("a closed stdout ends it with exit code 141, without a message", () => {
    const closedPipe = 'pipe(R, W); close R; open(STDOUT, ">&", \\*W); exec @ARGV';
    const words = ["perl", "-e", closedPipe, process.execPath, MAIN, "--help"];
    const { exitCode, stderr } = Bun.spawnSync(words);
    expect({ exitCode, stderr: stderr.toString() }).toEqual({ exitCode: 141, stderr: "" });
  });

  test("a stderr that cannot be written changes no exit code", () => {
    const closedPipe = 'pipe(R, W); close R; open(STDERR, ">&", \\*W); exec @ARGV';
    const words = [process.execPath, MAIN, "frobnicate"];
    expect(Bun.spawnSync(["perl", "-e", closedPipe, ...words]).exitCode).toBe(2);
    expect(Bun.spawnSync(["sh", "-c", '"$@" 2> /dev/full', "sh", ...words]).exitCode).toBe(2);
  });

  test("a stdout on a full disk is a failure with its reason, not an unexpected error", () => {
    const words = ["sh", "-c", '"$@" > /dev/full', "sh", process.execPath, MAIN, "--help"];
    const { exitCode, stderr } = Bun.spawnSync(words);
    expect({ exitCode, stderr: stderr.toString() }).toEqual({
      exitCode: 1,
      stderr: "pmxcfs-ipc: cannot write to stdout: ENOSPC: no space left on device, write\n",
    });
  });
});
