/** The log: three formats, levels, bounds, and debug output switched on and off in a server. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LogLimits } from "../src/base/limits.ts";
import {
  createLog,
  defaultFormat,
  LineBudget,
  type LogFormat,
  type LogLevel,
} from "../src/base/log.ts";
import { eventually } from "./support/eventually.ts";
import { Fifo } from "./support/fifo.ts";
import { QbClient } from "./support/qb-client.ts";
import { echoCommand, type Service, startService } from "./support/service.ts";
import { ringDirectories } from "./support/shm.ts";

setDefaultTimeout(60_000);

const LOG = join(import.meta.dir, "../src/base/log.ts");
const AT = new Date("2026-02-03T04:05:06.789Z");

/** A log, and the lines it wrote. */
function capture(format: LogFormat, level: LogLevel = "debug") {
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  return { log: createLog({ level, format, write, clock: () => AT }), lines };
}

/** The lines of a log that gets a message of each level. */
function linesAt(format: LogFormat, level?: LogLevel): string[] {
  const { log, lines } = capture(format, level);
  const tagged = log.tagged("part");
  tagged.error("e");
  tagged.warn("w");
  tagged.info("i");
  tagged.debug("d");
  return lines;
}

describe("a line", () => {
  test("of the journal format begins with the priority (sd-daemon(3)), without a time", () => {
    expect(linesAt("journal")).toEqual([
      "<2>[part] crit: e\n",
      "<4>[part] warning: w\n",
      "<5>[part] notice: i\n",
      "<7>[part] debug: d\n",
    ]);
  });

  test("of the plain format begins with the time", () => {
    expect(linesAt("plain", "error")).toEqual(["2026-02-03T04:05:06.789Z [part] crit: e\n"]);
    const { log, lines } = capture("plain");
    log.info("without a tag");
    expect(lines).toEqual(["2026-02-03T04:05:06.789Z notice: without a tag\n"]);
  });

  test("of the json format is one object", () => {
    const { log, lines } = capture("json");
    log.tagged("ipcs").warn('quotes " and\nlines');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toEndWith("}\n");
    expect(JSON.parse(lines[0] ?? "")).toEqual({
      time: "2026-02-03T04:05:06.789Z",
      level: "warning",
      tag: "ipcs",
      message: 'quotes " and\nlines',
    });
  });

  test.each(["journal", "plain", "json"] as const)(
    "of %s has no line end of a message",
    (format) => {
      const { log, lines } = capture(format);
      log.info("pid 7 (evil\n<0>[main] crit: forged)");
      expect(lines.join("").match(/\n/g)).toHaveLength(1);
      expect(lines[0]).toContain("evil\\n<0>");
    },
  );

  test("has control characters escaped", () => {
    const { log, lines } = capture("plain");
    log.info("\x1b[2Jpid\t7 \x9b1m\x7f ünd");
    expect(lines[0]).toEndWith("notice: \\x1b[2Jpid\\x097 \\x9b1m\\x7f ünd\n");
  });

  test("is written unformatted, and each time if it is repeated", () => {
    const { log, lines } = capture("journal");
    for (let round = 0; round < 20; round++) log.info("100%d %s %o");
    expect(new Set(lines)).toEqual(new Set(["<5>notice: 100%d %s %o\n"]));
    expect(lines).toHaveLength(20);
  });

  test("has the journal format by default when systemd reads stderr", () => {
    expect(defaultFormat({})).toBe("plain");
    expect(defaultFormat({ JOURNAL_STREAM: "8:1234" })).toBe("journal");
  });
});

describe("levels", () => {
  test.each([
    ["error", 1],
    ["warn", 2],
    ["info", 3],
    ["debug", 4],
  ] as const)("at level %s lines of %d levels are written", (level, count) => {
    expect(linesAt("plain", level)).toHaveLength(count);
  });

  test("debug is switched on and off for all parts of the log", () => {
    const { log, lines } = capture("journal", "warn");
    const part = log.tagged("part");
    expect(part.debugOn).toBe(false);
    expect(log.toggleDebug()).toBe(true);
    expect(part.debugOn).toBe(true);
    part.debug("on");
    expect(part.toggleDebug()).toBe(false);
    part.debug("off");
    part.info("still too much");
    part.warn("as before");
    expect(lines).toEqual(["<7>[part] debug: on\n", "<4>[part] warning: as before\n"]);
  });

  test("debug switched off in a log of level debug leaves level info", () => {
    const { log, lines } = capture("journal", "debug");
    expect(log.toggleDebug()).toBe(false);
    log.debug("no");
    log.info("yes");
    expect(lines).toEqual(["<5>notice: yes\n"]);
  });

  test("the silent log writes nothing, also after debug was switched on", () => {
    const script = `import { silentLog } from ${JSON.stringify(LOG)};
      const log = silentLog.tagged("a");
      console.log(log.toggleDebug());
      for (const level of ["error", "warn", "info", "debug"]) log[level]("text");`;
    const { stdout, stderr } = Bun.spawnSync([process.execPath, "-e", script]);
    expect([stdout.toString(), stderr.toString()]).toEqual(["false\n", ""]);
  });
});

describe("bounds", () => {
  test("debug lines per second are limited, and a line has the number left out", async () => {
    const { log, lines } = capture("journal", "info");
    log.toggleDebug();
    const parts = [log, log.tagged("part")];
    const most = LogLimits.debugLinesPerSecond;
    for (let line = 0; line < most * 5; line++) parts[line % 2]?.debug(`line ${line}`);
    log.info("as before");
    expect(lines).toHaveLength(most + 1);
    await eventually("the second is over", () => lines.length === most + 2);
    const count = /^<7>debug: left out (\d+) more debug lines in the last second\n$/;
    expect(Number(count.exec(lines.at(-1) ?? "")?.[1])).toBe(most * 4);
    log.debug("again");
    expect(lines.at(-1)).toBe("<7>debug: again\n");
  });

  test("one source gets at most its own limit of the lines per second", async () => {
    const reports: [number, number][] = [];
    const budget = new LineBudget(10, 6, (...report) => void reports.push(report));
    const takes = (source: number, times: number) =>
      Array.from({ length: times }, () => budget.take(source)).filter(Boolean).length;
    expect([takes(1, 100), takes(2, 3), takes(3, 3)]).toEqual([6, 3, 1]);
    await eventually("the report", () => reports.length > 0);
    expect(reports).toEqual([[96, 1]]);
    expect(takes(1, 1)).toBe(1);
  });

  test("lines that cannot be written are dropped; the next line written has their number", () => {
    const lines: string[] = [];
    let isRead = true;
    const write = (line: string) => isRead && lines.push(line) > 0;
    const log = createLog({ level: "info", format: "journal", write });
    log.info("one");
    isRead = false;
    for (let line = 0; line < 3; line++) log.error("lost");
    isRead = true;
    log.info("two");
    expect(lines).toEqual([
      "<5>notice: one\n",
      "<5>notice: two\n",
      "<4>warning: dropped 3 lines before the previous one: stderr was not read in time\n",
    ]);
  });
});

/** Connects, sends one request and disconnects; resolves when the server has removed the rings. */
async function connectOnce(server: Service): Promise<void> {
  const client = await QbClient.open(server.name);
  expect((await client.call(5, "x")).error).toBe(0);
  await client[Symbol.asyncDispose]();
  const rings = `qb-${server.pid}-${client.pid}-`;
  await eventually("its rings are removed", () => {
    return ringDirectories(server.pid).every((name) => !name.startsWith(rings));
  });
}

/** Writes until a pipe takes no more. */
function fill(pipe: number): void {
  const byte = Buffer.alloc(4096);
  for (;;) {
    try {
      writeSync(pipe, byte);
    } catch {
      return;
    }
  }
}

/** Logs three times the bytes that are buffered at most, then a line for each byte of its stdin. */
const FLOOD = `
  import { createLog } from ${JSON.stringify(LOG)};
  const log = createLog({ level: "info", format: "journal" });
  for (let line = 0; line < 3000; line++) log.info("x".repeat(${LogLimits.unreadBytes / 1000}));
  process.stdout.write("logged");
  for await (const _ of process.stdin) log.info("again");
`;

describe("a process", () => {
  test("buffers lines for a late reader up to a bound, and counts the others", async () => {
    const directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-log-"));
    using fifo = new Fifo(join(directory, "stderr"));
    fill(fifo.fd);
    const words = ["sh", "-c", `exec "$@" 2>${fifo.path}`, "sh", process.execPath, "-e", FLOOD];
    const child = Bun.spawn(words, { stdin: "pipe", stdout: "pipe" });
    try {
      await child.stdout.getReader().read();
      let text = "";
      const lost = await eventually("the number of lost lines", () => {
        text += fifo.taken();
        void child.stdin.write("x");
        void child.stdin.flush();
        return /warning: dropped (\d+) lines? before the previous one/.exec(text)?.[1];
      });
      expect(Number(lost)).toBeGreaterThan(1900);
      expect(Number(lost)).toBeLessThan(2100);
    } finally {
      child.kill();
      await child.exited;
      rmSync(directory, { recursive: true });
    }
  });
});

describe("a server", () => {
  test("logs debug lines after SIGUSR1, until a second SIGUSR1", async () => {
    await using server = await startService((name) => [...echoCommand(name), "--log", "journal"]);
    const debugLines = () => server.output.match(/^<7>\[ipcs\] debug: connection/gm)?.length ?? 0;
    await eventually("it serves", () => server.output.includes("serving"));
    await connectOnce(server);
    server.signal("SIGUSR1");
    await eventually("on", () =>
      server.output.includes("<5>[main] notice: debug output on (SIGUSR1)"),
    );
    await connectOnce(server);
    await eventually("the line of the connection", () => debugLines() === 1);
    server.signal("SIGUSR1");
    await eventually("off", () => server.output.includes("debug output off (SIGUSR1)"));
    await connectOnce(server);
    expect(await server.stop()).toBe(0);
    expect(debugLines()).toBe(1);
    expect(
      server.output
        .trim()
        .split("\n")
        .filter((line) => !/^<[3-7]>/.test(line)),
    ).toEqual([]);
  });

  test("with --log json writes every line as JSON", async () => {
    await using server = await startService((name) => [
      ...echoCommand(name),
      "--log",
      "json",
      "--debug",
    ]);
    await connectOnce(server);
    expect(await server.stop()).toBe(0);
    const entries = server.output
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, string>);
    expect(entries.length).toBeGreaterThanOrEqual(3);
    expect(entries.some(({ level, tag }) => level === "debug" && tag === "ipcs")).toBe(true);
  });

  test("serves with a stderr that is full, and with one that has no reader", async () => {
    const directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-log-"));
    const fifo = new Fifo(join(directory, "stderr"));
    try {
      const words = ["sh", "-c", `exec "$@" 2>${fifo.path}`, "sh"];
      const start = () =>
        startService((name) => [...words, ...echoCommand(name), "--log-level", "debug"]);
      fill(fifo.fd);
      await using full = await start();
      await connectOnce(full);
      expect(await full.stop()).toBe(0);
      await using unread = await start();
      fifo[Symbol.dispose]();
      await connectOnce(unread);
      await connectOnce(unread);
      expect(await unread.stop()).toBe(0);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test("with JOURNAL_STREAM writes lines with priorities", async () => {
    const environment = { JOURNAL_STREAM: "8:1234" };
    await using server = await startService(echoCommand, { environment });
    expect(await server.stop()).toBe(0);
    expect(server.output).toMatch(/^<5>\[main\] notice: serving /m);
  });
});
