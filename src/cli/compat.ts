/**
 * `pmxcfs-ipc compat`: the compatibility runner as a command: selects the cases to run and the
 * format of the results.
 */
import { jsonText } from "../base/escape.ts";
import { writeFileAtomically } from "../platform/atomic-file.ts";
import { allCases } from "../tools/compat/cases/index.ts";
import { FLAVORS, type Case, type Flavor } from "../tools/compat/case.ts";
import { runChild } from "../tools/compat/child.ts";
import { CHILD_VARIABLE } from "../tools/compat/protocol.ts";
import {
  difference,
  json,
  junit,
  tapBailOut,
  tapLine,
  tapStart,
  tapTotals,
} from "../tools/compat/report.ts";
import { exitOf, runAll, RunExit, type Result } from "../tools/compat/run.ts";
import { openServices } from "../tools/compat/services.ts";
import { count, flag, list, milliseconds, path, text, type Values } from "./args.ts";
import { command } from "./command.ts";
import { LiveList } from "./compat-list.ts";
import { CommandFailure, stoppedBy, type StopSignal, UsageFailure } from "./failure.ts";
import { Progress } from "./progress.ts";
import { suggest } from "./suggest.ts";
import { print, stdoutRedraws, stdoutStyle } from "./terminal.ts";

const OUTPUT = "Output";

const options = {
  socket: text({ description: "Service under test, instead of our own server", hint: "NAME" }),
  command: text({
    description: "Shell command that starts the service; {socket} is replaced by the name",
    hint: "COMMAND",
  }),
  reference: text({
    description: "Second service; only the differences between the two are shown",
    hint: "NAME",
  }),
  client: list({
    description: `Kinds of clients: ${FLAVORS.join(", ")}`,
    hint: "KIND",
    default: FLAVORS,
  }),
  filter: list({ description: "Run the cases whose names contain this", hint: "TEXT" }),
  list: flag({ description: "List the cases and run none" }),
  seed: count({ description: "Seed of the random cases", defaultText: "random" }),
  deadline: milliseconds({
    description: "Time limit of a case",
    defaultText: "10s, or 20s for long cases",
    min: 100,
  }),
  failFast: flag({ description: "Stop at the first case that fails" }),
  writes: flag({ description: "Allow cases that write the status and log of a running service" }),
  tap: flag({ description: "Print TAP 14, also on a terminal", group: OUTPUT }),
  json: flag({ description: "Print JSON: one object at the end, or the list", group: OUTPUT }),
  junit: path({ description: "Write a JUnit report to FILE", hint: "FILE", group: OUTPUT }),
  noColor: flag({ description: "No colours", group: OUTPUT }),
};

type Chosen = Values<typeof options>;

/** A random seed; it is printed, so that the run can be repeated. */
function newSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
}

function flavorsOf(words: readonly string[]): Flavor[] {
  const unknown = words.find((word) => !FLAVORS.some((flavor) => flavor === word));
  if (unknown !== undefined) {
    const message = `--client: "${unknown}" is not one of ${FLAVORS.join(", ")}`;
    throw new UsageFailure(message, suggest(unknown, FLAVORS));
  }
  return FLAVORS.filter((flavor) => words.includes(flavor));
}

function casesOf(chosen: Chosen, seed: number): readonly Case[] {
  const all = allCases(seed);
  if (chosen.filter.length === 0) return all;
  const found = all.filter(({ name }) => chosen.filter.some((part) => name.includes(part)));
  if (found.length > 0) return found;
  throw new UsageFailure(`no case's name contains ${chosen.filter.join(" or ")}`);
}

function printList(cases: readonly Case[]): void {
  const width = Math.max(...cases.map(({ name }) => name.length));
  for (const { name, shows, profiles = ["any"], needs = [] } of cases) {
    const more = [profiles.join("|"), ...needs].join(", ");
    print(`${name.padEnd(width)}  ${shows} [${more}]\n`);
  }
}

function listJson(cases: readonly Case[]): string {
  const rows = cases.map(({ name, shows, profiles = ["any"], needs = [] }) => ({
    name,
    shows,
    services: profiles,
    needs,
  }));
  return `${jsonText(rows, 2)}\n`;
}

/** The signal that interrupted the run: no further case starts, and created files are removed. */
let interrupted: StopSignal | undefined;

function stopped(): boolean {
  return interrupted !== undefined;
}

function endOnSignals(): void {
  process.once("SIGINT", () => (interrupted = "SIGINT"));
  process.once("SIGTERM", () => (interrupted = "SIGTERM"));
}

/** Runs against one service, calling `finished` per case; throws if it cannot be reached. */
async function runAgainst(
  chosen: Chosen,
  socket: string | undefined,
  work: { cases: readonly Case[]; flavors: readonly Flavor[] },
  show: { starting?: (testCase: Case, flavor: Flavor) => void; finished: (result: Result) => void },
): Promise<Result[]> {
  const { command: line, writes, deadline, failFast } = chosen;
  const services = await openServices({ socket, command: line, writes });
  if (typeof services === "string") throw new CommandFailure(services);
  await using opened = services;
  const { targets } = opened;
  return await runAll({ ...work, ...show, targets, deadlineMs: deadline, failFast, stopped });
}

/** Throws UsageFailure for an output that a comparison does not have. */
function demandOneOutput({ reference, tap, junit: file }: Chosen): void {
  if (reference === undefined) return;
  const option = tap ? "--tap" : file === undefined ? undefined : "--junit";
  if (option === undefined) return;
  throw new UsageFailure(`${option} and --reference: only one of them`);
}

/** Runs both services with the same seed and prints the cases in which they differ. */
async function compare(
  chosen: Chosen,
  reference: string,
  work: { cases: readonly Case[]; flavors: readonly Flavor[]; seed: number },
): Promise<number> {
  const { seed, ...rest } = work;
  const planned = 2 * work.cases.length * work.flavors.length;
  using progress = new Progress();
  let done = 0;
  const show = {
    starting: (testCase: Case, flavor: Flavor): void =>
      progress.show(`[${done + 1}/${planned}] ${testCase.name} (${flavor})`),
    finished: (): void => void done++,
  };
  const first = await runAgainst(chosen, chosen.socket, rest, show);
  const plain = { ...chosen, command: undefined };
  const second = await runAgainst(plain, reference, rest, show);
  progress.clear();
  const differences: { name: string; client: Flavor; difference: string }[] = [];
  let compared = 0;
  for (const [index, result] of first.entries()) {
    const other = second[index];
    if (other === undefined) continue;
    if (result.outcome === "skipped" || other.outcome === "skipped") continue;
    compared++;
    const what = difference(result, other);
    if (what === undefined) continue;
    const { testCase, flavor } = result;
    differences.push({ name: testCase.name, client: flavor, difference: what });
    if (!chosen.json) print(`${testCase.name} (${flavor}): ${what}\n`);
  }
  if (chosen.json) {
    const aborted = interrupted === undefined ? {} : { aborted: `stopped by ${interrupted}` };
    print(`${jsonText({ schema_version: 1, seed, ...aborted, compared, differences }, 2)}\n`);
  } else {
    if (chosen.seed === undefined) process.stderr.write(`seed ${seed}\n`);
    print(`${compared} cases ran on both, ${differences.length} differ\n`);
  }
  if (interrupted !== undefined) throw stoppedBy(interrupted);
  if (compared === 0) return RunExit.NOTHING_RAN;
  return differences.length > 0 ? RunExit.FAILED : RunExit.PASSED;
}

/** The output during the run and at its end. */
interface Shown {
  readonly starting?: (testCase: Case, flavor: Flavor) => void;
  readonly finished: (result: Result) => void;
  /** `aborted`: why not all cases ran. */
  readonly end: (results: readonly Result[], aborted?: string) => void;
}

function shownAs(chosen: Chosen, planned: number, seed: number): Shown {
  if (chosen.json) {
    return { finished: () => {}, end: (results, aborted) => print(json(results, seed, aborted)) };
  }
  if (stdoutRedraws() && !chosen.tap) {
    const live = new LiveList(stdoutStyle(chosen.noColor), planned, seed);
    return {
      starting: (testCase, flavor) => live.starting(testCase, flavor),
      finished: (result) => live.finished(result),
      end: (results, aborted) => live.end(results, aborted),
    };
  }
  let number = 0;
  print(tapStart(planned));
  print(`# seed ${seed}\n`);
  return {
    finished: (result) => print(tapLine(++number, result)),
    end: (results, aborted) => {
      if (aborted !== undefined) print(tapBailOut(aborted));
      print(tapTotals(results, planned));
    },
  };
}

export const compatCommand = command({
  name: "compat",
  summary: "Run the compatibility suite with real libqb clients against a service",
  details: [
    "Each case runs with up to three clients: the host's libqb, a C program that uses it, and " +
      "our own library. Without --socket and --command the cases run against our own server with " +
      "prepared files. A running service is only read from, unless --writes is given.",
    "The output is a live list on a terminal, and TAP 14 elsewhere.",
  ],
  examples: [
    ["compat", "our own server, all cases"],
    ["compat --socket pve2", "the pmxcfs of this host, reading only"],
    ["compat --command 'my-server --name {socket}' --junit compat.xml", "a server under test"],
    ["compat --socket pve2 --reference other", "only what differs between two services"],
  ],
  exits: [
    [0, "Every case that ran passed"],
    [1, "A case failed"],
    [77, "No case could run"],
  ],
  options,
  async run(chosen) {
    const role = process.env[CHILD_VARIABLE];
    if (role !== undefined) return await runChild(role);
    const seed = chosen.seed ?? newSeed();
    const cases = casesOf(chosen, seed);
    const work = { cases, flavors: flavorsOf(chosen.client) };
    if (chosen.list) return chosen.json ? print(listJson(cases)) : printList(cases);
    demandOneOutput(chosen);
    endOnSignals();
    if (chosen.reference !== undefined) {
      return await compare(chosen, chosen.reference, { ...work, seed });
    }
    const shown = shownAs(chosen, cases.length * work.flavors.length, seed);
    const results: Result[] = [];
    const finished = (result: Result): void => {
      results.push(result);
      shown.finished(result);
    };
    let failure: CommandFailure | undefined;
    try {
      await runAgainst(chosen, chosen.socket, work, { ...shown, finished });
    } catch (error) {
      if (!(error instanceof CommandFailure)) throw error;
      failure = error;
    }
    if (interrupted !== undefined) failure = stoppedBy(interrupted);
    const isWhole = results.length === cases.length * work.flavors.length;
    const aborted = failure?.message ?? (isWhole ? undefined : "stopped at the first failure");
    shown.end(results, aborted);
    const { junit: file } = chosen;
    const problem = file && writeFileAtomically(file, junit(results, aborted), 0o644);
    if (problem !== undefined) throw new CommandFailure(`--junit: ${problem}`);
    if (failure !== undefined) throw failure;
    return exitOf(results);
  },
});
