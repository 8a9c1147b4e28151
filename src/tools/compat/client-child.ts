/**
 * A client process: the runner starts this program again, so that a client can hang, be killed or
 * become another user. Reads the lines of protocol.ts from stdin, executes them with libqb or with
 * our own library, and answers on stdout.
 */
import { writeSync } from "node:fs";
import { Errno } from "../../base/errno.ts";
import { becomeUser } from "../../platform/self.ts";
import { bodyOfWord } from "./body.ts";
import { LibqbDriver } from "./libqb-driver.ts";
import { OwnDriver } from "./own-driver.ts";
import type { Answer, Driver } from "./protocol.ts";

/** Answers one line. */
async function perform(driver: Driver, line: string): Promise<Answer> {
  const [verb = "", first = "", second = "", third = "", fourth = ""] = line.split(" ");
  switch (verb) {
    case "connect":
      return await driver.connect(first, Number(second));
    case "send":
      return driver.send(Number(first), bodyOfWord(second), Number(third));
    case "receive":
      return await driver.receive(Number(first));
    case "event":
      return await driver.event(Number(first));
    case "pipeline":
      return await driver.pipeline(Number(first), Number(second), Number(third));
    case "repeat": {
      const body = bodyOfWord(third);
      return await driver.repeat(Number(first), Number(second), body, Number(fourth));
    }
    case "fc":
      return driver.flowControlMax(Number(first));
    case "alive":
      return driver.alive();
    case "disconnect":
      return driver.disconnect();
    default:
      return { res: Errno.ENOSYS };
  }
}

/** Writes a whole line; waits while the pipe is full. */
function writeAnswer(answer: Answer): void {
  const bytes = Buffer.from(`${JSON.stringify(answer)}\n`);
  for (let at = 0; at < bytes.byteLength;) {
    try {
      at += writeSync(1, bytes, at);
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) throw error;
      Bun.sleepSync(1);
    }
  }
}

/**
 * Executes lines until stdin ends. `role` is the runner's environment variable: the kind of client,
 * and the uid and gid to become.
 */
export async function runClientChild(role: string): Promise<void> {
  const [flavor, uid, gid] = role.split(" ");
  const driver = flavor === "libqb" ? LibqbDriver.load() : new OwnDriver();
  if (driver === undefined) {
    writeAnswer({ res: Errno.ENOENT });
    return;
  }
  // The ids change after the libraries are loaded and before anything is opened.
  if (uid !== undefined && gid !== undefined) becomeUser(Number(uid), Number(gid));
  writeAnswer({ res: 0 });
  let pending = "";
  const decoder = new TextDecoder();
  for await (const chunk of Bun.stdin.stream()) {
    pending += decoder.decode(chunk, { stream: true });
    for (let end = pending.indexOf("\n"); end >= 0; end = pending.indexOf("\n")) {
      const line = pending.slice(0, end);
      pending = pending.slice(end + 1);
      writeAnswer(await perform(driver, line));
    }
  }
  driver.disconnect();
}
