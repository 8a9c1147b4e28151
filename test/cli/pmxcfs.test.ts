/** The command line of `pmxcfs`: C's options, and those of `serve`. */
import { expect, test } from "bun:test";
import { parsePmxcfsWords } from "../../src/cli/pmxcfs.ts";
import { DAEMON_FD } from "../../src/platform/daemonize.ts";
import { REPOSITORY } from "../support/native.ts";

test("the options of C are taken in every form", () => {
  expect(parsePmxcfsWords(["-lf", "--debug"])).toMatchObject({
    local: true,
    foreground: true,
    debug: true,
    rest: [],
  });
  expect(parsePmxcfsWords(["-x", "-l"])).toMatchObject({ local: true, rest: ["-x"] });
  expect(parsePmxcfsWords(["--", "-l"])).toMatchObject({ local: false, rest: ["--", "-l"] });
});

test("--ready-fd is the option of serve: it does not make a daemon of the process", () => {
  for (const words of [["--ready-fd=3"], ["--ready-fd", "3"]]) {
    const { readyFd, foreground, rest } = parsePmxcfsWords(["-f", ...words]);
    expect({ readyFd, foreground, rest }).toEqual({
      readyFd: undefined,
      foreground: true,
      rest: words,
    });
  }
});

test("the daemon gets its descriptor before the words of the command line, also before --", () => {
  const { readyFd, rest } = parsePmxcfsWords([`${DAEMON_FD}3`, "-l", "--"]);
  expect(readyFd).toBe(3);
  expect(rest).toEqual(["--"]);
});

test.each([
  ["--metrics", "0.0.0.0:9221", '--metrics: "0.0.0.0:9221" is not unix:PATH, or a loopback'],
  ["--allow-uid", "root", '--allow-uid: "root" is not a numeric id'],
  ["--inject", "write:errno=EIOO", '"EIOO" is not an errno'],
])("a wrong value of %s has the exit code and the words of C", (option, value, why) => {
  const words = [process.execPath, "src/main.ts", "pmxcfs", "-f", option, value];
  const { exitCode, stderr } = Bun.spawnSync(words, { cwd: REPOSITORY });
  expect(stderr.toString()).toStartWith("[main] crit: option parsing failed: ");
  expect(stderr.toString()).toContain(why);
  expect(exitCode).toBe(1);
});

test("an exception that ends a daemon, which has no stderr, is a line of its log", () => {
  const script = `
    const { main } = await import("./src/cli/main.ts");
    const { logCrashes } = await import("./src/cli/pmxcfs.ts");
    const { createLog } = await import("./src/base/log.ts");
    await main(["--version"]);
    const write = (line) => require("node:fs").writeSync(1, line);
    logCrashes(createLog({ level: "info", format: "journal", write }));
    setImmediate(() => { throw new Error("broken"); });
  `;
  const words = [process.execPath, "-e", script];
  const { exitCode, stdout } = Bun.spawnSync(words, { cwd: REPOSITORY, stderr: "ignore" });
  expect(exitCode).toBe(1);
  expect(stdout.toString()).toMatch(/^<2>\[main\] crit: unexpected error: Error: broken\\n .*\n/m);
});
