/**
 * Every row of test/native/qb-attack.c against each setup. With PMXCFS_IPC_ROBUSTNESS=FILE the
 * outcomes are written to that file as tables (`npm run robustness`: docs/robustness.md).
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, it } from "bun:test";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../support/eventually.ts";
import { noRingsLeft } from "../support/shm.ts";
import { testUnless } from "../support/unless.ts";
import { behaviours, mayFailToConnect, unusedVerdicts, verdictOf } from "./behaviours.ts";
import { residentKib } from "./footprint.ts";
import { addToTable } from "./report.ts";
import { Attacked, faults, type Outcome } from "./run.ts";
import { setups, type Setup } from "./setups.ts";

setDefaultTimeout(120_000);

const directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-robust-"));
chmodSync(directory, 0o755);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const rows = behaviours();

/** The behaviour that is repeated to check whether memory grows. */
const AGAIN = "5000 connects and disconnects";

/**
 * Collections of young objects only, as usual, let the garbage of connects grow by 10 to 15 MiB in
 * each round, whether it is a leak or not. With full ones it was 1 to 4 MiB after twelve rounds.
 */
const FULL_COLLECTIONS = { BUN_JSC_useGenerationalGC: "0" };
const MORE_ROUNDS = 3;
/** Allowed growth of private memory in these rounds. */
const GROWTH_KIB = 16 * 1024;

it("has a row for each required outcome", () => {
  expect(unusedVerdicts(rows)).toEqual([]);
});

function suite(setup: Setup): void {
  const test = testUnless(setup.unless);
  const outcomes: Outcome[] = [];
  let attacked: Attacked | undefined;

  function under(): Attacked {
    if (attacked === undefined) throw new Error("the server did not start");
    return attacked;
  }

  beforeAll(async () => {
    if (setup.unless === undefined) attacked = await Attacked.start(setup);
  });

  // Also when only some tests run, or one fails.
  afterAll(async () => {
    await attacked?.[Symbol.asyncDispose]();
  });

  for (const behaviour of rows.filter((row) => setup.suits(row))) {
    test(`${behaviour.group}: ${behaviour.name}`, async () => {
      const outcome = await under().show(behaviour);
      outcomes.push(outcome);
      expect(under().server.exitCode).toBeUndefined();
      const verdict = setup.echoes ? verdictOf(behaviour) : undefined;
      expect(faults(outcome, verdict, mayFailToConnect(behaviour, setup.sameUid))).toEqual([]);
    });
  }

  const again = rows.find(({ name }) => name === AGAIN);
  if (again === undefined) throw new Error(`no behaviour is named "${AGAIN}"`);
  if (setup.suits(again)) {
    test("more rounds of connects do not increase memory", async () => {
      await using collecting = await Attacked.start(setup, FULL_COLLECTIONS);
      const { pid } = collecting.server;
      await collecting.show(again);
      const warmKib = residentKib(pid);
      for (let round = 0; round < MORE_ROUNDS; round++) await collecting.show(again);
      // The garbage of the connects is collected when the server is idle.
      await eventually(
        "no more memory than after the first round",
        () => residentKib(pid) < warmKib + GROWTH_KIB,
        60_000,
      );
    });
  }

  test("its log is short", () => {
    expect(under().lines).toBeLessThan(under().linesAllowed);
  });

  test("SIGTERM ends it with exit code 0, and no file is left", async () => {
    const { server } = under();
    expect(await server.stop()).toBe(0);
    await noRingsLeft(server.pid);
    addToTable(setup.name, outcomes);
  });
}

for (const setup of setups(directory)) describe(setup.name, () => suite(setup));
