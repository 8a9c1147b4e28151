/**
 * Running the diagnosis in tests: in this process with some paths replaced, or as a command in
 * namespaces of its own, where mounts, names, ids and processes are the test's alone.
 */
import { CODES, type CodeName } from "../../../src/tools/diagnosis/codes.ts";
import { DEFAULT_OPTIONS, runCheck } from "../../../src/tools/check/check.ts";
import { type Paths, localMachine } from "../../../src/tools/check/host.ts";
import type { CheckOptions } from "../../../src/tools/check/probe.ts";
import type { Finding } from "../../../src/tools/check/finding.ts";
import { makeReport, type Report } from "../../../src/tools/check/report.ts";
import { REPOSITORY } from "../../support/native.ts";
import { type Service, startService } from "../../support/service.ts";
import type { Faults } from "../servers/node.ts";
import { expect } from "bun:test";
import { join } from "node:path";

/** A run as `--json` tells it. */
export interface Told {
  readonly exit_code: number;
  readonly verdict: {
    readonly severity: string;
    readonly code: string | null;
    readonly text: string;
  };
  readonly findings: readonly {
    readonly check: string;
    readonly severity: string;
    readonly code: string | null;
    readonly text: string;
    readonly fix: string | null;
    readonly advice: string | null;
    readonly follows_from: string | null;
    readonly cause: string | null;
    readonly details: readonly string[];
  }[];
}

export interface Wanted {
  /** The line. */
  readonly line: RegExp;
  /** The command; where none is safe what to do instead; where it is a consequence, of what. */
  readonly fix: RegExp;
  readonly exit: number;
}

const SEVERITY_EXITS: Readonly<Record<string, number>> = { notice: 0, warn: 1, fail: 2 };

/** The line, the fix and the exit code of a code that must have been found. */
export function expectFound(report: Told, code: CodeName, wanted: Wanted): void {
  const found = report.findings.find((finding) => finding.code === code);
  if (found === undefined) {
    const lines = report.findings.map(({ severity, text }) => `${severity}: ${text}`);
    throw new Error(`${code} was not found in:\n${lines.join("\n")}`);
  }
  expect(found.text).toMatch(wanted.line);
  const { fix, advice, follows_from: root, cause } = found;
  expect(fix ?? advice ?? `follows from ${root}`).toMatch(wanted.fix);
  expect(found.check).toBe(CODES[code].check);
  // Every template is filled.
  expect(`${found.text}${fix}${advice}${cause}`).not.toMatch(/\{\w+\}/);
  expect(report.exit_code).toBe(wanted.exit);
  expect(report.exit_code).toBeGreaterThanOrEqual(SEVERITY_EXITS[found.severity] ?? 0);
}

export function codesOf(report: Told): (string | null)[] {
  return report.findings.flatMap(({ code }) => code ?? []);
}

function asTold({ exitCode, verdict, findings }: Report): Told {
  return {
    exit_code: exitCode,
    verdict: { ...verdict, code: verdict.code ?? null },
    findings: findings.map(({ code, fix, advice, followsFrom, cause, ...rest }) => ({
      ...rest,
      code: code ?? null,
      fix: fix ?? null,
      advice: advice ?? null,
      follows_from: followsFrom ?? null,
      cause: cause ?? null,
    })),
  };
}

/** The report of a run that found these. */
export function reported(findings: readonly Finding[]): Told {
  return asTold(makeReport({ host: "n1", service: "pve2", at: 0, durationMs: 0 }, findings));
}

export interface InProcess {
  readonly paths?: Partial<Paths>;
  readonly only?: readonly string[];
  readonly skip?: readonly string[];
  readonly options?: Partial<CheckOptions>;
}

/** For tests that are not about deadlines: a busy machine is no finding. */
const PATIENT = { deadlineMs: 10_000, totalMs: 50_000 };

/** Runs probes in this process against `service`. */
export async function check(service: string, how: InProcess = {}): Promise<Told> {
  const options = { ...DEFAULT_OPTIONS, ...PATIENT, service, ...how.options };
  const selection = { only: how.only ?? [], skip: how.skip ?? [] };
  return asTold(await runCheck(localMachine(how.paths ?? {}), options, selection));
}

/** A node with faults, on our library. */
export async function startNode(faults: Faults = {}): Promise<Service> {
  return await startService((name) => nodeCommand(name, faults));
}

export function nodeCommand(name: string, faults: Faults = {}): string[] {
  const script = join(REPOSITORY, "test", "check", "servers", "node.ts");
  return [process.execPath, script, name, JSON.stringify(faults)];
}

/** `pmxcfs-ipc` from the sources, as words. */
export const PROGRAM = [process.execPath, join(REPOSITORY, "src", "main.ts")];

export interface Ran {
  readonly out: string;
  readonly error: string;
  readonly exitCode: number;
}

export async function run(words: readonly string[], input = ""): Promise<Ran> {
  const child = Bun.spawn([...words], {
    stdin: new Blob([input]),
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, PMXCFS_IPC_DEBUG: "" },
  });
  const [out, error, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { out, error, exitCode };
}

/** Shell functions and variables every sandbox script has. */
const PRELUDE = `
set -eu
# $BARE has the usual deadlines; $CHECK is for tests that are not about them, on a busy machine
BARE="${PROGRAM.join(" ")} --check"
CHECK="$BARE --deadline 10s --total-deadline 50s"
# await COMMAND...: until it succeeds, at most 30 s
await() {
  tries=0
  until "$@" > /dev/null 2>&1; do
    tries=$((tries + 1))
    [ "$tries" -lt 1500 ] || { echo "never: $*" >&2; exit 99; }
    sleep 0.02
  done
}
# own_etc: from here on the script may change /etc, and /etc/pve is empty
own_etc() {
  mount -t tmpfs tmpfs /mnt
  mkdir /mnt/upper /mnt/work
  mount -t overlay overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work /etc
  rm -rf /etc/pve
  mkdir /etc/pve
}
listening() { grep -q " 00010000 .* @$1" /proc/net/unix; }
`;

/** An empty /dev/shm, and none of the machine's RRD files. */
const OWN_SHM = `mount -t tmpfs -o mode=1777,size=256m tmpfs /dev/shm
[ ! -d /var/lib/rrdcached ] || mount -t tmpfs tmpfs /var/lib/rrdcached
`;

/**
 * Runs a shell script as root in new mount, pid, network and uts namespaces, with an empty
 * /dev/shm of its own. Processes it leaves end with it; nothing it mounts is seen outside.
 */
export async function sandbox(script: string, flags: readonly string[] = []): Promise<Ran> {
  const all = ["unshare", "-m", "-p", "-n", "-u", "-f", "--mount-proc", "--kill-child", ...flags];
  return await run([...all, "sh", "-c", PRELUDE + OWN_SHM + script]);
}

/** As `sandbox`, in the pid namespace of this process: the script ends what it starts. */
export async function machineSandbox(script: string): Promise<Ran> {
  return await run(["unshare", "-m", "-n", "-u", "sh", "-c", PRELUDE + OWN_SHM + script]);
}

/** As `sandbox`; the script prints the JSON of a run. */
export async function told(script: string, flags: readonly string[] = []): Promise<Told> {
  const { out, error } = await sandbox(script, flags);
  try {
    return JSON.parse(out) as Told;
  } catch (cause) {
    throw new Error(`no report:\n${out}\n${error}`, { cause });
  }
}

/** As words of a shell script. */
export function shell(words: readonly string[]): string {
  return words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
}
