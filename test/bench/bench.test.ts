/** The `bench` command: it counts its requests, compares two services, and reports errors. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Finished, runProgram, SOURCES } from "../compat/run-compat.ts";
import { FakeServer } from "../client/fake-server.ts";
import { eventually } from "../support/eventually.ts";
import { native } from "../support/native.ts";
import { isRunning } from "../support/process-state.ts";
import { startService, uniqueName } from "../support/service.ts";

interface Report {
  readonly services: readonly Record<string, number>[];
  readonly ratios?: Record<string, number>;
}

async function bench(...words: string[]): Promise<Report> {
  const { code, out, err } = await runProgram(["bench", ...words, "--json"]);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  return JSON.parse(out) as Report;
}

/** The exit code, and stderr, which must be one line. */
function failure({ code, err }: Finished): { code: number; line: string } {
  expect(err).toMatch(/^[^\n]+\n$/);
  return { code, line: err };
}

describe("bench --count", () => {
  for (const client of ["libqb", "own"]) {
    test(`sends exactly that many requests through the ${client} client`, async () => {
      await using service = await startService((name) => [native("qb-echo-server"), name]);
      const words = ["--socket", service.name, "--client", client, "--id", "9"];
      const more = ["--payload", "100", "--connections", "2", "--count", "200", "--rounds", "2"];
      const [figures] = (await bench(...words, ...more)).services;
      expect(figures).toMatchObject({ requests: 400, errors: 0, server_pid: service.pid });
      expect(figures?.["p50_ns"]).toBeGreaterThan(0);
      expect(figures?.["p50_ns"]).toBeLessThanOrEqual(figures?.["p99_ns"] ?? 0);
      expect(figures?.["p99_ns"]).toBeLessThanOrEqual(figures?.["max_ns"] ?? 0);
      expect(figures?.["server_rss_bytes"]).toBeGreaterThan(100_000);
    });
  }

  test("makes exactly that many connects", async () => {
    await using service = await startService((name) => [native("qb-echo-server"), name]);
    for (const count of [3, 21]) {
      const words = ["--socket", service.name, "--request", "connect", "--count", String(count)];
      const [figures] = (await bench(...words)).services;
      expect(figures).toMatchObject({ requests: count, errors: 0 });
    }
  });
});

test("bodies may be larger than what fits into an environment variable", async () => {
  await using service = await startService((name) => [native("qb-echo-server"), name]);
  const words = ["--socket", service.name, "--id", "9", "--payload", "500K", "--count", "4"];
  const [figures] = (await bench(...words)).services;
  expect(figures).toMatchObject({ requests: 4, errors: 0 });
});

test("with --vs two services are measured, and their ratios printed", async () => {
  await using c = await startService((name) => [native("qb-echo-server"), name]);
  await using ours = await startService((name) => [...SOURCES, "echo", "--socket", name]);
  const words = ["--socket", ours.name, "--vs", c.name, "--duration", "200ms"];
  const report = await bench(...words);
  expect(report.services.map(({ socket }) => String(socket))).toEqual([ours.name, c.name]);
  expect(report.ratios?.["throughput"]).toBeGreaterThan(0);
  const shown = await runProgram(["bench", ...words]);
  expect(shown.out).toContain("1 connection through libqb, get-fs-version");
  expect(shown.out).toMatch(/\|#{40}\|/);
  expect(shown.out).toMatch(/throughput x[\d.]+, p50 x[\d.]+/);
});

test("a signal ends the run at once, with the loading clients", async () => {
  await using service = await startService((name) => [...SOURCES, "echo", "--socket", name]);
  const words = ["bench", "--socket", service.name, "--id", "9", "--duration", "60s"];
  const child = Bun.spawn([...SOURCES, ...words], { stdout: "pipe", stderr: "pipe" });
  const clients = () =>
    Bun.spawnSync(["pgrep", "-P", String(child.pid)])
      .stdout.toString()
      .trim();
  const pid = await eventually("a client loads the server", () => clients() || undefined);
  child.kill("SIGTERM");
  expect(await child.exited).toBe(143);
  expect(await new Response(child.stderr).text()).toBe("pmxcfs-ipc: stopped by SIGTERM\n");
  // Not /proc/PID: a process that has ended has it until it is waited for.
  expect(pid.split("\n").map(Number).filter(isRunning)).toEqual([]);
});

test("an answer with an errno is counted as an error", async () => {
  const directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-test-"));
  await using service = await startService((name) =>
    SOURCES.concat("serve", "--socket", name, "--dir", directory),
  );
  rmSync(directory, { recursive: true });
  const words = ["--socket", service.name, "--id", "99", "--count", "10"];
  const [figures] = (await bench(...words)).services;
  expect(figures).toMatchObject({ requests: 10, errors: 10, last_error: "ECHRNG" });
});

test("a failure is one line", async () => {
  const absent = await runProgram(["bench", "--socket", uniqueName("absent")]);
  expect(failure(absent)).toEqual({ code: 1, line: expect.stringContaining("no process listens") });
  const payload = await runProgram(["bench", "--socket", "x", "--payload", "5"]);
  expect(failure(payload)).toEqual({ code: 2, line: expect.stringContaining("--id") });
  using server = new FakeServer(uniqueName(), { instead: () => {} });
  const words = ["bench", "--socket", server.name, "--timeout", "100ms", "--client", "own"];
  const hung = await runProgram([...words, "--duration", "100ms"]);
  const line: unknown = expect.stringContaining("no answer to request 1");
  expect(failure(hung)).toEqual({ code: 1, line: line as string });
});
