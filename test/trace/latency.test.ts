/**
 * A traced libqb client waits at most twice as long as one behind a minimal proxy, a relay of
 * thirty lines of C. The bound is for ratios of medians, measured in turns: other load slows both,
 * so the bound holds beside it too.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadService } from "../support/qb-load.ts";
import { native } from "../support/native.ts";
import { type Service, startService } from "../support/service.ts";
import { costsOf, type Pace, startWarm } from "./latency.ts";
import { makeTree, removeTree, startC, startProxy } from "./support.ts";

setDefaultTimeout(120_000);

const BOUND = 2;
/** At least one of this many runs must be within the bound. */
const TRIES = 5;
const TURNS = 9;

let directory: string;
let tree: string;
let server: Service;
let relay: Service;
let tracer: Service;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-test-"));
  tree = makeTree();
  server = await startC("qb-answer-server", tree, "pve1");
  relay = await startService((own) => [native("qb-relay"), own, server.name]);
  tracer = await startWarm(server, join(directory, "trace.txt"));
});

afterAll(async () => {
  await tracer.stop();
  await relay.stop();
  await server.stop();
  removeTree(tree);
  rmSync(directory, { recursive: true });
});

/** The ratios of up to TRIES runs; stops after the first within the bound. */
async function ratios(run: () => Promise<number>): Promise<number[]> {
  const seen: number[] = [];
  while (seen.length < TRIES) {
    const ratio = await run();
    seen.push(ratio);
    if (ratio <= BOUND) break;
  }
  return seen;
}

test.each<[Pace]>([["busy"], ["paced"]])(
  "a %s client waits at most twice as long",
  async (pace) => {
    const seen = await ratios(async () => {
      const [, traced] = await costsOf([relay, tracer], pace, TURNS);
      return traced?.ratio ?? Infinity;
    });
    expect(Math.min(...seen)).toBeLessThanOrEqual(BOUND);
  },
);

test("eight clients of a slow server wait in parallel", async () => {
  await using late = await startC("qb-echo-server", "--late-ms", "5");
  await using before = await startProxy("trace", late.name, "--errno", "EIO");
  const load = ["--clients", "8", "--requests", "30"];
  const seen = await ratios(async () => {
    const direct = await loadService(late.name, ...load);
    const traced = await loadService(before.name, ...load);
    expect([direct.errors, traced.errors]).toEqual([0, 0]);
    return traced.p50_ns / direct.p50_ns;
  });
  expect(Math.min(...seen)).toBeLessThanOrEqual(BOUND);
});
