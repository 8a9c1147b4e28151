/** A server that does not answer, a reader that does not read: no client waits for either. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Errno } from "../../src/base/errno.ts";
import { FakeServer } from "../client/fake-server.ts";
import { eventually } from "../support/eventually.ts";
import { Fifo } from "../support/fifo.ts";
import { NOBODY, WWW_DATA } from "../support/identity.ts";
import { bodyText, QbClient } from "../support/qb-client.ts";
import { loadService } from "../support/qb-load.ts";
import {
  isListening,
  program,
  type Service,
  startService,
  uniqueName,
} from "../support/service.ts";
import { noRingsLeft, ringDirectories } from "../support/shm.ts";
import { startC, startProxy } from "./support.ts";

setDefaultTimeout(60_000);

/** Ends the tracer; no ring directory of its connections is left, on either side. */
async function allAreGone(tracer: Service, server: Service): Promise<void> {
  expect(await tracer.stop()).toBe(0);
  await noRingsLeft(tracer.pid, server.pid);
}

/** The time that the clients need for `calls` requests each, ms. */
async function timeOf(clients: readonly QbClient[], calls: number): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < calls; i++) {
    for (const client of clients) expect(bodyText(await client.call(9, `${i}`))).toBe(`${i}`);
  }
  return performance.now() - start;
}

test("connected clients are served while a hung server does not answer new ones", async () => {
  let silent = false;
  using server = new FakeServer(uniqueName(), {
    get silent() {
      return silent;
    },
  });
  await using tracer = await startProxy("trace", server.name);
  {
    await using first = await QbClient.open(tracer.name);
    await using second = await QbClient.open(tracer.name, WWW_DATA);
    const clients = [first, second];
    const before = await timeOf(clients, 200);
    silent = true;
    const coming = Array.from({ length: 10 }, () => QbClient.open(tracer.name));
    const meanwhile = await timeOf(clients, 200);
    for (const opened of coming) {
      await using late = await opened;
      // The tracer's own rule accepts them; the server may refuse them later.
      expect(late.connected.res).toBe(0);
    }
    // If all waited for the server, this would take a second for each client.
    expect(meanwhile / before).toBeLessThan(10);
  }
  expect(await tracer.stop()).toBe(0);
});

test("waiting clients are accepted or refused once the server decides", async () => {
  await using server = await startC("qb-echo-server");
  await using tracer = await startProxy("trace", server.name, "--group", "33");
  {
    await using early = await QbClient.open(tracer.name);
    expect((await early.call(9, "early")).error).toBe(0);
    server.signal("SIGSTOP");
    await using late = await QbClient.open(tracer.name);
    await using unwanted = await QbClient.open(tracer.name, WWW_DATA);
    await using stranger = await QbClient.open(tracer.name, NOBODY);
    const came = [late, unwanted, stranger].map(({ connected }) => connected.res);
    expect(came).toEqual([0, 0, Errno.ETIMEDOUT]);
    await using leaving = await QbClient.open(tracer.name);
    expect(leaving.connected.res).toBe(0);
    await leaving.kill();
    const asked = [early.call(9, "first"), late.call(9, "second")];
    server.signal("SIGCONT");
    expect((await Promise.all(asked)).map(bodyText)).toEqual(["first", "second"]);
    await eventually("the unwanted is let go", async () => (await unwanted.call(9, "x")).res < 0);
    await eventually("it is asked about strangers again", async () => {
      await using another = await QbClient.open(tracer.name, NOBODY);
      return another.connected.res === Errno.EPERM;
    });
    await eventually("who left has left the server too", () => {
      return ringDirectories(server.pid).length === 2;
    });
  }
  await allAreGone(tracer, server);
});

test("clients are served while the trace is not read; a line counts what is left out", async () => {
  const directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-test-"));
  try {
    using stdout = new Fifo(join(directory, "stdout"));
    await using server = await startC("qb-echo-server", "--accept-any");
    const traced = [...program(), "trace", "--json", "--upstream", server.name, "--socket"];
    await using tracer = await startService((name) => {
      return ["sh", "-c", 'exec "$@" > "$0"', stdout.path, ...traced, name];
    });
    // Each is a line of more than 200 bytes: more than the pipe and the tracer's buffer hold.
    const load = await loadService(tracer.name, "--requests", "10000");
    expect(load).toMatchObject({ requests: 10_000, errors: 0 });
    await using client = await QbClient.open(tracer.name);
    let text = "";
    const lost = await eventually("the number of lost lines", async () => {
      text += stdout.taken();
      await client.call(9, "x");
      return /"kind":"left-out","lines":(\d+)/.exec(text)?.[1];
    });
    expect(Number(lost)).toBeGreaterThan(1000);
    expect(Number(lost)).toBeLessThan(10_000);
    expect(await tracer.stop()).toBe(0);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("clients are served while the terminal of the trace is stopped", async () => {
  const directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-test-"));
  const tmux = (...words: string[]) =>
    Bun.spawnSync(["tmux", "-S", join(directory, "tmux"), "-f", "/dev/null", ...words]);
  const shown = () => tmux("capture-pane", "-p").stdout.toString();
  const name = uniqueName();
  try {
    await using server = await startC("qb-echo-server", "--accept-any");
    const words = [...program(), "trace", "--socket", name, "--upstream", server.name];
    tmux("new-session", "-d", "-x", "80", "-y", "24", `${words.join(" ")}; echo "left $?"; read x`);
    await eventually("the tracer listens", () => isListening(name));
    tmux("send-keys", "C-s");
    // More than the terminal and the pipes to it hold.
    const load = await loadService(name, "--requests", "3000");
    expect(load).toMatchObject({ requests: 3000, errors: 0 });
    tmux("send-keys", "C-q");
    await eventually("the lines are shown", () => shown().includes("disconnect"));
    tmux("send-keys", "C-c");
    await eventually("the tracer has ended", () => shown().includes("left 0"));
  } finally {
    tmux("kill-server");
    rmSync(directory, { recursive: true });
  }
});
