/** The `bench` command: it counts what it does, compares two services, and says what went wrong. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runProgram, SOURCES } from "../compat/run-compat.ts";
import { FakeServer } from "../client/fake-server.ts";
import { native } from "../support/native.ts";
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

describe("a load by count", () => {
  for (const client of ["libqb", "own"]) {
    test(`through ${client} makes exactly so many requests`, async () => {
      await using service = await startService((name) => [native("qb-echo-server"), name]);
      const words = ["--socket", service.name, "--client", client, "--id", "9"];
      const more = ["--payload", "100", "--connections", "2", "--count", "200", "--rounds", "2"];
      const [figures] = (await bench(...words, ...more)).services;
      expect(figures).toMatchObject({ requests: 400, errors: 0, server_pid: service.pid });
      expect(figures?.["p50_ns"]).toBeGreaterThan(0);
      expect(figures?.["p50_ns"]).toBeLessThanOrEqual(figures?.["p99_ns"] ?? 0);
      expect(figures?.["p99_ns"]).toBeLessThanOrEqual(figures?.["max_ns"] ?? 0);
      expect(figures?.["server_rss_bytes"]).toBeGreaterThan(100_000);
    }, 30_000);
  }

  test("of connects", async () => {
    await using service = await startService((name) => [native("qb-echo-server"), name]);
    const words = ["--socket", service.name, "--request", "connect", "--count", "20"];
    const [figures] = (await bench(...words)).services;
    expect(figures).toMatchObject({ requests: 20, errors: 0 });
  }, 30_000);
});

test("two services in turns, with ratios, for people too", async () => {
  await using c = await startService((name) => [native("qb-echo-server"), name]);
  await using ours = await startService((name) => [...SOURCES, "echo", "--socket", name]);
  const words = ["--socket", ours.name, "--vs", c.name, "--duration", "200ms"];
  const report = await bench(...words);
  expect(report.services.map(({ socket }) => String(socket))).toEqual([ours.name, c.name]);
  expect(report.ratios?.["throughput"]).toBeGreaterThan(0);
  const shown = await runProgram(["bench", ...words]);
  expect(shown.out).toContain("1 connections through libqb, get-fs-version");
  expect(shown.out).toMatch(/\|#{40}\|/);
  expect(shown.out).toMatch(/throughput x[\d.]+, p50 x[\d.]+/);
}, 30_000);

test("answers that are errors are counted, not hidden", async () => {
  const directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-test-"));
  await using service = await startService((name) =>
    SOURCES.concat("serve", "--socket", name, "--dir", directory),
  );
  rmSync(directory, { recursive: true });
  const words = ["--socket", service.name, "--id", "99", "--count", "10"];
  const [figures] = (await bench(...words)).services;
  expect(figures).toMatchObject({ requests: 12, errors: 12, last_error: "ECHRNG" });
}, 30_000);

test("a failure is reported in one line", async () => {
  const absent = await runProgram(["bench", "--socket", uniqueName("absent")]);
  expect([absent.code, absent.err]).toEqual([1, expect.stringContaining("nobody listens")]);
  const payload = await runProgram(["bench", "--socket", "x", "--payload", "5"]);
  expect([payload.code, payload.err]).toEqual([2, expect.stringContaining("--id")]);
  using server = new FakeServer(uniqueName(), { instead: () => {} });
  const words = ["bench", "--socket", server.name, "--timeout", "100ms", "--client", "own"];
  const hung = await runProgram([...words, "--duration", "100ms"]);
  expect([hung.code, hung.err]).toEqual([1, expect.stringContaining("no answer to request 1")]);
}, 30_000);
