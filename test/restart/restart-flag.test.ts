/**
 * Restarts of a server while a client sends requests in a loop, with the retries of PVE's Perl
 * client: with the restart flag no request fails; without it some do.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { QbFailure } from "../../src/client/failure.ts";
import { PveConnection } from "../../src/pmxcfs/client/pve-connection.ts";
import { CfsIpc } from "../../src/pmxcfs/requests/table.ts";
import { eventually } from "../support/eventually.ts";
import { serveCommand, type Service, startService, uniqueName } from "../support/service.ts";
import { noRingsLeft } from "../support/shm.ts";

setDefaultTimeout(60_000);

const RESTARTS = 10;

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-test-"));
  mkdirSync(join(directory, "pve"));
  writeFileSync(join(directory, "pve", "storage.cfg"), "dir: local\n");
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function start(name: string, flag: string, ...more: string[]): Promise<Service> {
  const dir = join(directory, "pve");
  const words = ["--dir", dir, "--no-rrd", "--restart-flag", flag, ...more];
  return await startService(serveCommand(...words), { name });
}

/** A client that sends requests without a pause until `end`, and records failures. */
class Loop {
  readonly failures: string[] = [];
  requests = 0;
  #on = true;
  readonly #done: Promise<void>;

  constructor(name: string, restartFlag: string) {
    this.#done = this.#run(new PveConnection(name, { restartFlag }));
  }

  async #run(connection: PveConnection): Promise<void> {
    using client = connection;
    while (this.#on) {
      const answer = await client.sendRecv(CfsIpc.GET_CONFIG, Buffer.from("storage.cfg\0"));
      this.requests++;
      if (!(answer instanceof QbFailure) && answer.error === 0) continue;
      this.failures.push(answer instanceof QbFailure ? String(answer) : `errno ${answer.error}`);
      // The call fails without waiting: let the event loop run.
      await Bun.sleep(1);
    }
  }

  async end(): Promise<void> {
    this.#on = false;
    await this.#done;
  }
}

async function restarts(flag: string, given: string, times: number): Promise<Loop> {
  const name = uniqueName();
  let server = await start(name, given);
  const pids = [server.pid];
  const loop = new Loop(name, flag);
  try {
    for (let time = 0; time < times; time++) {
      const before = loop.requests;
      await eventually("requests between two restarts", () => loop.requests > before + 20);
      expect(await server.stop()).toBe(0);
      server = await start(name, given);
      pids.push(server.pid);
    }
    const before = loop.requests;
    await eventually("requests after the last restart", () => loop.requests > before);
  } finally {
    await loop.end();
    await server.stop();
  }
  for (const pid of pids) await noRingsLeft(pid);
  return loop;
}

test("no request of a client in a loop fails during ten restarts", async () => {
  const flag = join(directory, "loop-flag");
  const { failures, requests } = await restarts(flag, flag, RESTARTS);
  expect(failures).toEqual([]);
  expect(requests).toBeGreaterThan(RESTARTS * 20);
});

test("without the flag requests fail", async () => {
  const flag = join(directory, "no-flag");
  const { failures } = await restarts(flag, "off", 1);
  expect(failures).not.toEqual([]);
  expect(existsSync(flag)).toBe(false);
});

test("the flag has mode 0440 and the group, and is removed after the next start", async () => {
  const flag = join(directory, "made-flag");
  const name = uniqueName();
  const server = await start(name, flag, "--group", "33");
  expect(existsSync(flag)).toBe(false);
  expect(await server.stop()).toBe(0);
  const { mode, uid, gid, size } = statSync(flag);
  expect({ mode: mode & 0o777, uid, gid, size }).toEqual({ mode: 0o440, uid: 0, gid: 33, size: 0 });
  await using again = await start(name, flag);
  await eventually("the flag is gone", () => !existsSync(flag));
  again.signal("SIGKILL");
  await again.ended();
  expect(existsSync(flag)).toBe(false);
});

test("without its directory no flag is made, and the log does not mention it", async () => {
  const flag = join(directory, "missing", "flag");
  const server = await start(uniqueName(), flag);
  expect(await server.stop()).toBe(0);
  expect(existsSync(join(directory, "missing"))).toBe(false);
  expect(server.output).not.toContain(flag);
  expect(server.output).not.toContain("warning:");
});
