/** `--json` of commands that print data: one document on stdout, with the exit code of the text. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { allCases } from "../../src/tools/compat/cases/index.ts";
import { runProgram, SOURCES } from "../compat/run-compat.ts";
import { native } from "../support/native.ts";
import { type Service, startService, uniqueName } from "../support/service.ts";

let c: Service;
beforeAll(async () => {
  c = await startService((name) => [native("qb-echo-server"), name]);
});
afterAll(async () => {
  await c.stop();
});

async function document(...words: string[]): Promise<{ code: number; value: unknown }> {
  const { code, out, err } = await runProgram(words);
  expect(err).toBe("");
  return { code, value: JSON.parse(out) };
}

test("check --clean-stale lists the directories", async () => {
  const words = ["--check", "--clean-stale", "--dry-run", "--json", "--socket", uniqueName()];
  const { code, value } = await document(...words);
  expect(value).toEqual({ schema_version: 1, dry_run: true, directories: expect.any(Array) });
  expect(code).toBeLessThan(2);
});

test.each(["--nagios", "--checkmk", "--openmetrics", "--output=x", "--bundle=x"])(
  "check --clean-stale refuses %s",
  async (option) => {
    const { code, err } = await runProgram(["--check", "--clean-stale", "--dry-run", option]);
    const name = option.split("=")[0];
    expect(err).toBe(`pmxcfs-ipc: ${name} and --clean-stale: only one of them\n`);
    expect(code).toBe(2);
  },
);

test("compat --list has every case", async () => {
  const { code, value } = await document("compat", "--list", "--json", "--seed", "3");
  const names = (value as { name: string }[]).map(({ name }) => name);
  expect(names).toEqual(allCases(3).map(({ name }) => name));
  expect(code).toBe(0);
});

test("compat --reference has the seed and the differences", async () => {
  await using ours = await startService((name) => [...SOURCES, "echo", "--socket", name]);
  const servers = ["--socket", c.name, "--reference", ours.name, "--filter", "traffic.repeat"];
  const { code, value } = await document("compat", ...servers, "--client", "own", "--json");
  expect(value).toEqual({
    schema_version: 1,
    seed: expect.any(Number),
    compared: 1,
    differences: [],
  });
  expect(code).toBe(0);
});

test.each(["--tap", "--junit=x"])("compat --reference refuses %s", async (option) => {
  const words = ["compat", "--socket", "a", "--reference", "b", option];
  const { code, err } = await runProgram(words);
  expect(err).toBe(`pmxcfs-ipc: ${option.split("=")[0]} and --reference: only one of them\n`);
  expect(code).toBe(2);
});

test("a kind of clients with a typo gets a suggestion, also with --list", async () => {
  const { code, err } = await runProgram(["compat", "--list", "--client", "libqp"]);
  expect(err).toBe(
    'pmxcfs-ipc: --client: "libqp" is not one of libqb, c, own (did you mean "libqb"?)\n',
  );
  expect(code).toBe(2);
});
