/** Log lines sent to syslog, on a real datagram socket in the place of /dev/log. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { syslogWriter } from "../../src/platform/syslog.ts";
import { TempDirectory } from "../pmxcfs/support.ts";
import { Datagrams } from "../support/datagrams.ts";

setDefaultTimeout(60_000);

test("a line has its priority, the name and the pid, and stays one line of UTF-8", async () => {
  using directory = new TempDirectory();
  const path = directory.at("log");
  await using syslog = await Datagrams.at(path);
  const shown: string[] = [];
  const write = syslogWriter("pmxcfs", (text) => void shown.push(text), path);
  // The low byte of U+010A is a line feed.
  expect(write("<4>[main] warning: node ü\u010A[main] crit: forged\n")).toBe(true);
  const text = "[main] warning: node ü\u010A[main] crit: forged";
  const received = Buffer.from(await syslog.next(), "latin1").toString("utf8");
  expect(received).toBe(`<28>pmxcfs[${process.pid}]: ${text}`);
  expect(shown).toEqual([`${text}\n`]);
});

test("without syslog a line is dropped without an error", () => {
  expect(syslogWriter("pmxcfs", () => {}, "/nowhere/log")("<6>line\n")).toBe(true);
});
