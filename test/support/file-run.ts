/**
 * One test file in a `bun test` process of its own: its counts, output and JUnit report. A process,
 * its ring directories, its sockets, a temporary file or a mount that is left behind is a failure,
 * and is removed.
 */
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { isRunning } from "./process-state.ts";
import { socketsOf } from "./service.ts";
import { removeRings } from "./shm.ts";

export interface FileResult {
  /** From the top of the repository. */
  readonly path: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly seconds: number;
  /** stdout and stderr of the process. */
  readonly output: string;
  /** Failures besides those of tests: a limit, an exit code, leftovers. */
  readonly complaints: readonly string[];
  /** The inner part of its JUnit report. */
  readonly junit: string;
}

/** A file that runs longer is killed. */
const LIMIT_SECONDS = 600;
/** A test that runs longer fails. */
const TEST_TIMEOUT_MS = 60_000;
/** All processes of a file inherit this variable: leftovers are found by it. */
const MARK = "PMXCFS_IPC_TEST_FILE";

/** SIGKILL, 9, in the masks of /proc/PID/status. */
const SIGKILL_BIT = 1n << 8n;

/** Pids of live processes (zombies excluded) whose environment holds the mark `value`. */
function marked(value: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        if (!readFileSync(`/proc/${pid}/environ`, "latin1").includes(`${MARK}=${value}\0`)) {
          return false;
        }
        return isRunning(pid);
      } catch {
        return false;
      }
    });
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ").trim();
  } catch {
    return "?";
  }
}

/** True for a process that was killed: it ends when it gets a processor. */
function isKilled(pid: number): boolean {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    const pending = [...status.matchAll(/^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)$/gm)];
    return pending.some(([, mask]) => (BigInt(`0x${mask}`) & SIGKILL_BIT) !== 0n);
  } catch {
    return false;
  }
}

/** The marked processes that have not ended after a second, or after 10 if they were killed. */
async function leftProcesses(value: string): Promise<number[]> {
  const started = performance.now();
  for (;;) {
    const pids = marked(value);
    const waitedMs = performance.now() - started;
    if (pids.length === 0 || waitedMs > 10_000) return pids;
    if (waitedMs > 1000 && !pids.some(isKilled)) return pids;
    await Bun.sleep(50);
  }
}

/** Kills a process and waits for its end; a line that names it. */
async function endProcess(pid: number): Promise<string> {
  const command = commandLine(pid);
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself.
  }
  for (let waited = 0; isRunning(pid) && waited < 1000; waited++) await Bun.sleep(10);
  return `left process ${pid} running: ${command}`;
}

/** Removes the file's temporary directory; a line with the names in it, if there are any. */
function leftFiles(directory: string): string[] {
  const names = readdirSync(directory);
  try {
    rmSync(directory, { recursive: true, force: true });
  } catch (error) {
    return [`left ${directory}, which cannot be removed: ${String(error)}`];
  }
  return names.length === 0 ? [] : [`left temporary files: ${names.join(" ")}`];
}

/** A line for each mount point below `directory`. */
function leftMounts(directory: string): string[] {
  return readFileSync("/proc/self/mounts", "latin1")
    .split("\n")
    .filter((line) => line.split(" ")[1]?.startsWith(`${directory}/`))
    .map((line) => `left mounted: ${line}`);
}

/** Removes the sockets of the file's services; a line for each. */
function leftSockets(pid: number): string[] {
  return socketsOf(pid).map((path) => {
    rmSync(path, { force: true });
    return `left ${path}`;
  });
}

function attribute(xml: string, name: string): number {
  const found = new RegExp(`<testsuites [^>]*\\b${name}="(\\d+)"`).exec(xml)?.[1];
  return Number(found ?? 0);
}

function inner(xml: string): string {
  return xml.replace(/^[\s\S]*?<testsuites[^>]*>\n?/, "").replace(/<\/testsuites>\s*$/, "");
}

function readReport(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

function limitComplaint(output: string): string {
  const reported = output.split("\n").filter((line) => /^\((pass|fail|skip)\) /.test(line));
  const last = reported.at(-1)?.replace(/ \[[\d.]+m?s\]$/, "") ?? "nothing: the file was loading";
  return `limit of ${LIMIT_SECONDS} s: killed in the test after ${last}`;
}

/**
 * Runs the test file `path` of the repository at `root`. When `interrupt` is aborted, the file is
 * killed; what it left is removed as after a failure.
 */
export async function runFile(
  root: string,
  path: string,
  interrupt: AbortSignal,
): Promise<FileResult> {
  const started = performance.now();
  const mark = crypto.randomUUID();
  const temporary = mkdtempSync("/tmp/t-");
  // Processes of a second uid pass through it.
  chmodSync(temporary, 0o711);
  const outside = mkdtempSync("/tmp/r-");
  const report = join(outside, "junit.xml");
  const words = ["bun", "test", "--timeout", String(TEST_TIMEOUT_MS), "--reporter=junit"];
  const child = Bun.spawn([...words, `--reporter-outfile=${report}`, `./${path}`], {
    cwd: root,
    env: { ...process.env, [MARK]: mark, TMPDIR: temporary },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  /** Processes that may end without cleaning up. */
  const killed = [child.pid];
  const kill = (): void => {
    killed.push(...marked(mark));
    child.kill("SIGKILL");
  };
  interrupt.addEventListener("abort", kill);
  let overLimit = false;
  const limit = setTimeout(() => {
    overLimit = true;
    kill();
  }, LIMIT_SECONDS * 1000);
  const texts = Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  await child.exited;
  clearTimeout(limit);
  interrupt.removeEventListener("abort", kill);
  // Before reading the pipes to their end: a leftover process holds them open.
  const left = await leftProcesses(mark);
  const processes = await Promise.all(left.map(endProcess));
  const rings = removeRings(...killed, ...left).map((name) => `left /dev/shm/${name}`);
  const output = (await texts).join("");
  const junit = readReport(report);
  rmSync(outside, { recursive: true });
  const tests = attribute(junit, "tests");
  const failures = attribute(junit, "failures");
  const skipped = attribute(junit, "skipped");
  const complaints = [...processes, ...rings, ...leftSockets(child.pid)];
  complaints.push(...leftMounts(temporary), ...leftFiles(temporary));
  if (overLimit) complaints.push(limitComplaint(output));
  else if (interrupt.aborted) complaints.push("interrupted");
  else if (child.exitCode !== 0 && failures === 0) {
    complaints.push(`bun test ended with ${child.exitCode ?? child.signalCode}`);
  } else if (tests === 0) complaints.push("ran no test");
  return {
    path,
    passed: tests - failures - skipped,
    failed: failures + complaints.length,
    skipped,
    seconds: (performance.now() - started) / 1000,
    output,
    complaints,
    junit: inner(junit),
  };
}
