/** The check of /dev/shm at a server's start. */
import { afterAll, expect, test } from "bun:test";
import { mkdirSync, rmdirSync } from "node:fs";
import { createLog } from "../../src/base/log.ts";
import { openShm } from "../../src/ipc/setup/listener.ts";
import { SHM } from "../../src/shm/ring-directory.ts";
import { ringDirectories } from "../support/shm.ts";

/** The name of the directory that a killed server of this pid, or another user, has made. */
const TAKEN = `${SHM}/qb-${process.pid}-0-0-probe`;

afterAll(() => rmdirSync(TAKEN));

test("no directory that is there already prevents a start, and the check leaves none", () => {
  mkdirSync(TAKEN);
  const before = ringDirectories(process.pid);
  const opened = openShm(createLog({ level: "error", format: "plain" }));
  if ("message" in opened) throw new Error(opened.message);
  opened[Symbol.dispose]();
  expect(ringDirectories(process.pid)).toEqual(before);
});
