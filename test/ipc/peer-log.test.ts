/**
 * Rule 10: log lines that peers cause are bounded; those left out are counted, but not built. A
 * line about a lack of memory does not say that /dev/shm is full.
 */
import { expect, jest, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { settingsOf } from "../../src/ipc/options.ts";
import { PeerLog } from "../../src/ipc/setup/peer-log.ts";
import { RefusalTexts } from "../../src/ipc/setup/refusal-texts.ts";
import { createLog, silentLog } from "../../src/base/log.ts";

function listening(): { log: PeerLog; lines: string[] } {
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  return { log: new PeerLog(createLog({ level: "info", format: "journal", write })), lines };
}

test("twenty lines are written; the others are counted and not built", () => {
  const { log, lines } = listening();
  let built = 0;
  for (let i = 0; i < 1000; i++) {
    log.warn(() => {
      built++;
      return `peer ${i}`;
    });
  }
  expect(lines).toHaveLength(20);
  expect(built).toBe(20);
  log.close();
  expect(lines).toHaveLength(21);
  expect(lines.at(-1)).toContain("left out 980 more lines about clients");
});

test("after the interval it logs how many were left out, and writes again", () => {
  jest.useFakeTimers();
  try {
    const { log, lines } = listening();
    for (let i = 0; i < 25; i++) log.warn(() => "first");
    jest.advanceTimersByTime(10_000);
    expect(lines.at(-1)).toContain("5 more lines");
    log.warn(() => "second");
    expect(lines.at(-1)).toContain("second");
    log.close();
    expect(lines).toHaveLength(22);
  } finally {
    jest.useRealTimers();
  }
});

test("rings that cannot be mapped for lack of memory are not reported as a full /dev/shm", () => {
  const handler = { authenticate: () => Errno.EPERM, handle: () => Errno.EIO };
  const texts = new RefusalTexts(handler, settingsOf({ log: silentLog }));
  const line = texts.noRings({ pid: process.pid, uid: 33, gid: 33 }, Errno.ENOMEM, 1_000_000);
  expect(line).toContain("Cannot allocate memory (ENOMEM)");
  expect(line).not.toContain("ENOSPC");
});
