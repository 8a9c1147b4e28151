/**
 * Executes the fix of one finding as an administrator would: runs the diagnosis, passes the fix to
 * a shell, runs the diagnosis again, and compares all files before and after. Runs inside a
 * sandbox: `try-fix.ts JSON`, where JSON is an `Attempt`; prints a `Tried`.
 */
import type { CodeName } from "../../../src/tools/diagnosis/codes.ts";
import { PROGRAM, type Told } from "../support/run.ts";
import { readFileSync } from "node:fs";

export interface Attempt {
  readonly code: CodeName;
  readonly only: readonly string[];
  readonly service: string;
  /** Directories whose files are compared. */
  readonly roots: readonly string[];
  /** Fixes are executed until no code with this prefix is found, at most ten times. */
  readonly until?: string;
  /** The fix starts a server and does not end: it runs during the second check. */
  readonly stays?: boolean;
  /** `--deadline` of both checks. */
  readonly deadline?: string;
  /** A shell command that runs after the last check; its output is kept. */
  readonly look?: string;
}

export interface Tried {
  readonly first: Told;
  readonly fixes: readonly string[];
  /** The output of the fixes. */
  readonly output: string;
  /** Files whose content is no longer in any file. */
  readonly lost: readonly string[];
  readonly second: Told;
  readonly looked: string;
}

const attempt = JSON.parse(process.argv[2] ?? "") as Attempt;
const MOST_FIXES = 10;

/** Contents of all files below the directories, by path, without other file systems. */
function contents(): Map<string, Buffer> {
  const words = ["find", ...attempt.roots, "-xdev", "-type", "f", "-size", "+0", "-print0"];
  const { stdout } = Bun.spawnSync(words, { stderr: "ignore" });
  const found = new Map<string, Buffer>();
  for (const path of stdout.toString("latin1").split("\0")) {
    if (path === "") continue;
    try {
      found.set(path, readFileSync(Buffer.from(path, "latin1")));
    } catch {
      // A file that disappears meanwhile is not configuration.
    }
  }
  return found;
}

function digest(bytes: Uint8Array): string {
  return Bun.SHA256.hash(bytes, "hex");
}

/** The contents that are no longer in any file; a file with added lines still has its content. */
function lostOf(before: ReadonlyMap<string, Buffer>, after: ReadonlyMap<string, Buffer>): string[] {
  const digests = new Set([...after.values()].map(digest));
  return [...before].flatMap(([path, bytes]) => {
    const grown = after.get(path)?.subarray(0, bytes.length).equals(bytes) === true;
    return grown || digests.has(digest(bytes)) ? [] : [path];
  });
}

function check(): Told {
  const only = attempt.only.flatMap((name) => ["--only", name]);
  const deadline = ["--deadline", attempt.deadline ?? "10s", "--total-deadline", "50s"];
  const words = [...PROGRAM, "--check", "--socket", attempt.service, ...only, ...deadline];
  const { stdout, stderr } = Bun.spawnSync([...words, "--json"]);
  try {
    return JSON.parse(stdout.toString()) as Told;
  } catch (cause) {
    throw new Error(`no report: ${stdout.toString()}${stderr.toString()}`, { cause });
  }
}

/** Waits for a listener, for a fix that starts a server. */
function awaitListener(): void {
  const name = `@${attempt.service}`;
  for (let turn = 0; turn < 1500; turn++) {
    if (readFileSync("/proc/net/unix", "latin1").includes(name)) return;
    Bun.sleepSync(20);
  }
}

function paste(fix: string): string {
  const options = { cwd: "/", stdin: "ignore", stdout: "pipe", stderr: "pipe" } as const;
  if (attempt.stays === true) {
    Bun.spawn(["sh", "-c", fix], { ...options, stdout: "ignore", stderr: "ignore" }).unref();
    awaitListener();
    return "";
  }
  const { stdout, stderr, exitCode } = Bun.spawnSync(["sh", "-c", fix], {
    ...options,
    timeout: 60_000,
  });
  return `${stdout.toString()}${stderr.toString()}exit ${exitCode}\n`;
}

function fixOf(report: Told, prefix: string): string | undefined {
  const finding = report.findings.find(({ code, fix }) => {
    return fix !== null && code?.startsWith(prefix) === true;
  });
  return finding?.fix ?? undefined;
}

const before = contents();
const first = check();
const fixes: string[] = [];
let output = "";
let second = first;
const prefix = attempt.until ?? attempt.code;
for (let turn = 0; turn < (attempt.until === undefined ? 1 : MOST_FIXES); turn++) {
  const fix = fixOf(second, prefix);
  if (fix === undefined) break;
  fixes.push(fix);
  output += paste(fix);
  second = check();
}
const lost = lostOf(before, contents());
const look = ["sh", "-c", attempt.look ?? "true"];
const looked = Bun.spawnSync(look, { stderr: "ignore" }).stdout.toString();
const tried: Tried = { first, fixes, output, lost, second, looked };
console.log(JSON.stringify(tried));
process.exit(0);
