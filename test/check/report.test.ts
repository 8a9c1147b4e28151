/** The report of a run in every mode, and its exit code, which is the same in all of them. */
import { createStyle } from "../../src/cli/terminal.ts";
import { CfsIpc } from "../../src/pmxcfs/requests/table.ts";
import { type Finding, found, pass, shellQuote, skip } from "../../src/tools/check/finding.ts";
import {
  renderCheckmk,
  renderJson,
  renderNagios,
  renderOpenMetrics,
} from "../../src/tools/check/report-machine.ts";
import { renderQuiet, renderText } from "../../src/tools/check/report-text.ts";
import { type Report, makeReport } from "../../src/tools/check/report.ts";
import type { Service } from "../support/service.ts";
import { PROGRAM, run, startNode } from "./support/run.ts";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PLAIN = createStyle(false);

function report(...findings: Finding[]): Report {
  return makeReport(
    { host: "pve1", service: "pve2", at: 1_790_000_000_000, durationMs: 321 },
    findings,
  );
}

const GOOD = pass("latency", "fast", [
  { name: "latency_p99_seconds", value: 0.00042, unit: "s", limit: 0.02 },
]);
const LOW = found(
  "SHM_LOW",
  { path: "/dev/shm", free: 64, size: 64, clients: 21, limit: 50, target: 384 },
  { measures: [{ name: "shm_free_clients", value: 21, unit: "", limit: 50, low: true }] },
);
const ABSENT = found("SOCKET_ABSENT", { service: "pve2" });
const LOOPBACK = found("NAME_LOOPBACK", {
  name: "pve1",
  address: "127.0.1.1",
  where: "line 2 of /etc/hosts",
  hosts: "/etc/hosts",
  own: "192.0.2.1",
});

test("the verdict comes first and names the cause, not the first symptom", () => {
  const [first] = renderText(report(ABSENT, LOOPBACK), PLAIN).split("\n");
  expect(first).toBe(
    "FAIL: the node name pve1 resolves only to 127.0.1.1 (line 2 of /etc/hosts) " +
      "[NAME_LOOPBACK] (and 1 more)",
  );
});

test("of two explanations the more specific one is the verdict", () => {
  const unit = "pve-cluster.service";
  const failed = found("UNIT_FAILED", { unit, result: "exit-code" });
  const logged = found("LOG_ERROR", { unit, message: "DB load failed", meaning: "x" });
  expect(report(ABSENT, failed, logged).verdict.code).toBe("LOG_ERROR");
  expect(report(ABSENT, failed, logged, LOOPBACK).verdict.code).toBe("NAME_LOOPBACK");
});

const SKIPPED = skip("unit", "systemctl is not installed");
const VERDICT = `\
WARN: /dev/shm: 64 of 64 MiB free, room for 21 more clients (limit 50) [SHM_LOW]
      fix:   mount -o remount,size=384M /dev/shm
`;
const LOW_SECTION = `\
= CHECKING SHARED MEMORY =

WARN: /dev/shm: 64 of 64 MiB free, room for 21 more clients (limit 50) [SHM_LOW]
      cause: Each client takes 3.05 MiB. Containers often have a /dev/shm of 64 MiB: 21 clients.
      fix:   mount -o remount,size=384M /dev/shm
      next:  To keep it: size= in /etc/fstab; in a container --shm-size=512m.
      seen:  No space left on device
`;
const TOTALS = "TOTAL: 3  PASSED: 1  SKIPPED: 1  NOTICES: 0  WARNINGS: 1  FAILURES: 0\n";

test("the text report has all but PASS, with verdict and fix first and last", () => {
  expect(renderText(report(GOOD, LOW, SKIPPED), PLAIN)).toBe(
    `${VERDICT}\n${LOW_SECTION}\n${TOTALS}\n${VERDICT}`,
  );
});

test("the verbose report has everything", () => {
  expect(renderText(report(GOOD, LOW, SKIPPED), PLAIN, true)).toBe(
    `${VERDICT}\n= CHECKING LATENCY =\n\nPASS: fast\n\n${LOW_SECTION}\n` +
      `= CHECKING SERVICE AND ITS LOG =\n\nSKIP: systemctl is not installed\n\n` +
      `${TOTALS}\n${VERDICT}`,
  );
});

test("a run without findings is two lines", () => {
  expect(renderText(report(GOOD), PLAIN)).toBe(
    "PASS: the IPC of this node works: 1 check passed, p99 0.42 ms\n" +
      "TOTAL: 1  PASSED: 1  SKIPPED: 0  NOTICES: 0  WARNINGS: 0  FAILURES: 0\n",
  );
});

test("a consequence says what it follows from, and has no fix", () => {
  const text = renderText(report(ABSENT, LOOPBACK), PLAIN);
  expect(text).toMatch(/nothing listens .*\[SOCKET_ABSENT\]\n {6}follows from: NAME_LOOPBACK\n/);
  expect(text).not.toContain("systemctl start pve-cluster");
  const [absent] = report(ABSENT, LOOPBACK).findings;
  expect([absent?.followsFrom, absent?.fix]).toEqual(["NAME_LOOPBACK", undefined]);
});

test("a fault of the next start does not explain what fails while a server runs", () => {
  const [absent] = report(ABSENT, { ...LOOPBACK, severity: "warn" }).findings;
  expect([absent?.followsFrom, absent?.fix]).toEqual([undefined, "systemctl start pve-cluster"]);
});

test("a machine without pmxcfs gets the cause and what to do", () => {
  expect(renderText(report(found("NOT_INSTALLED", { service: "pve2" })), PLAIN)).toMatch(
    /^FAIL: no pmxcfs .*\n {6}cause: No listener[\s\S]*\n {6}fix: .*\n {6}next: /,
  );
});

test("no line of prose is wider than a terminal; commands are not wrapped", () => {
  const text = renderText(report(ABSENT, LOOPBACK, LOW), PLAIN);
  const wide = text
    .split("\n")
    .filter((line) => line.length > 100 && !/^(FAIL|WARN| +fix)/.test(line));
  expect(wide).toEqual([]);
});

test("the report has colours only if they are wanted", () => {
  expect(renderText(report(ABSENT), createStyle(true))).toContain("\u001B[31mFAIL:");
  expect(renderText(report(ABSENT), PLAIN)).not.toContain("\u001B");
});

test("--quiet prints nothing without a fault, otherwise the faults", () => {
  expect(renderQuiet(report(GOOD), PLAIN)).toBe("");
  const lines = renderQuiet(report(GOOD, LOW), PLAIN).split("\n");
  expect(lines[0]).toMatch(/^WARN: .*\[SHM_LOW\]$/);
  expect(lines[1]).toMatch(/^ +cause: /);
  const both = renderQuiet(report(ABSENT, LOOPBACK), PLAIN);
  expect(both.match(/\[NAME_LOOPBACK\]/g)?.length).toBe(1);
  expect(both.match(/SOCKET_ABSENT/g)?.length).toBe(1);
  expect(lines.join("\n")).not.toContain("PASS");
});

test("exit codes: 0, 1 for warnings, 2 for failures, 3 when nothing could be checked", () => {
  const notice = found("RRD_OLD_FORMAT", { count: 1, total: 2, list: "x" });
  expect(report(GOOD, notice).exitCode).toBe(0);
  expect(report(GOOD, LOW).exitCode).toBe(1);
  expect(report(GOOD, LOW, ABSENT).exitCode).toBe(2);
  expect(report(skip("unit", "x")).exitCode).toBe(3);
});

test("one fault seen from two sides is reported once", () => {
  expect(report(ABSENT, ABSENT).counts.fail).toBe(1);
});

test("Nagios: one line, performance data with thresholds", () => {
  expect(renderNagios(report(GOOD, LOW))).toBe(
    "PMXCFS-IPC WARNING - /dev/shm: 64 of 64 MiB free, room for 21 more clients (limit 50) " +
      "[SHM_LOW] | latency_p99_seconds=0.00042s;0.02;;0 shm_free_clients=21;50:;;0\n",
  );
  expect(renderNagios(report(skip("unit", "x")))).toBe(
    "PMXCFS-IPC UNKNOWN - nothing could be checked\n",
  );
});

test("Checkmk: the verdict and one service for each check", () => {
  expect(renderCheckmk(report(GOOD, ABSENT))).toBe(
    '2 "PMXCFS IPC" - nothing listens on @pve2 [SOCKET_ABSENT]\n' +
      '0 "PMXCFS IPC latency" latency_p99_seconds=0.00042;0.02 fast\n' +
      '2 "PMXCFS IPC listening socket" - nothing listens on @pve2 [SOCKET_ABSENT]\n',
  );
});

test("OpenMetrics: only comments and samples, complete families, and EOF at the end", () => {
  const text = renderOpenMetrics(report(GOOD, LOW, ABSENT));
  const lines = text.trimEnd().split("\n");
  expect(lines.at(-1)).toBe("# EOF");
  const sample =
    /^pmxcfs_ipc_check_[a-z0-9_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? -?[0-9.e+-]+$/;
  for (const line of lines) expect(line.startsWith("# ") || sample.test(line)).toBe(true);
  const types = lines.filter((line) => line.startsWith("# TYPE "));
  expect(new Set(types).size).toBe(types.length);
  expect(text).toContain("pmxcfs_ipc_check_state 2\n");
  expect(text).toContain(
    'pmxcfs_ipc_check_finding{check="memory",code="SHM_LOW",severity="warn"} 1\n',
  );
  expect(text).toContain("pmxcfs_ipc_check_latency_p99_seconds 0.00042\n");
});

test("JSON: the documented fields, and no others", () => {
  const whole = JSON.parse(renderJson(report(LOW), "1.2.3")) as Record<string, unknown>;
  expect(whole).toEqual({
    schema_version: 1,
    version: "1.2.3",
    time: "2026-09-21T14:13:20.000Z",
    duration_ms: 321,
    host: "pve1",
    service: "pve2",
    exit_code: 1,
    verdict: {
      severity: "warn",
      code: "SHM_LOW",
      text: LOW.text,
      fix: LOW.fix,
      advice: LOW.advice,
    },
    counts: { pass: 0, skip: 0, notice: 0, warn: 1, fail: 0 },
    findings: [
      {
        check: "memory",
        severity: "warn",
        code: "SHM_LOW",
        text: LOW.text,
        cause: LOW.cause,
        fix: LOW.fix,
        advice: LOW.advice,
        follows_from: null,
        docs: "docs/diagnosis.md#shm_low",
        seen: ["No space left on device"],
        measures: [
          {
            name: "shm_free_clients",
            request: null,
            value: 21,
            unit: "",
            limit: 50,
            limit_is_lower: true,
          },
        ],
        details: [],
      },
    ],
  });
});

test("names of processes cannot control the terminal, or add a shell command", () => {
  const evil = "\u001B]0;x\u0007$(reboot)\u202E";
  const finding = found("SERVER_UNKNOWN", { pid: 1, command: evil });
  expect(finding.text).toContain(String.raw`\x1b]0;x\x07$(reboot)\u202e`);
  expect(shellQuote("a b'; reboot #")).toBe(`'a b'\\''; reboot #'`);
  const values = { path: "/tmp/$(reboot)", mode: "0644", uid: 0, gid: 0 };
  const quoted = found("DB_PERMISSIONS", values);
  expect(quoted.fix).toStartWith("chown root:root '/tmp/$(reboot)' && ");
});

let server: Service;
const directory = mkdtempSync(join(tmpdir(), "check-report-"));
beforeAll(async () => {
  server = await startNode({ texts: { [CfsIpc.GET_GUEST_LIST]: "" } });
});
afterAll(async () => {
  await server.stop();
  rmSync(directory, { recursive: true });
});

for (const mode of [[], ["--json"], ["--quiet"], ["--nagios"], ["--checkmk"], ["--openmetrics"]]) {
  test(`as a command: ${mode.join(" ") || "text"} has the exit code of its findings`, async () => {
    const words = [...PROGRAM, "--check", "--socket", server.name, "--only", "requests", ...mode];
    const failed = await run(words);
    expect(failed.exitCode).toBe(2);
    expect(failed.out).toContain("REPLY_EMPTY");
    expect(failed.error).toBe("");
    const muted = await run([...words, "--skip", "REPLY_EMPTY"]);
    expect(muted.exitCode).toBe(0);
    expect(muted.out).not.toContain("REPLY_EMPTY");
  });
}

test("a command with a control character is not printed as a fix", () => {
  const values = { path: "/etc/pve", count: 1, list: "x", command: "" };
  expect(found("FILES_LEFT", values, { fix: "rm -f 'a\u001B[2J'" }).fix).toBeUndefined();
  expect(found("FILES_LEFT", values, { fix: "rm -f a" }).fix).toBe("rm -f a");
});

test("as a command: --output writes the complete report, and nothing to stdout", async () => {
  const file = join(directory, "pmxcfs-ipc.prom");
  const words = ["--check", "--socket", server.name, "--only", "memory", "--openmetrics"];
  const { out, exitCode } = await run([...PROGRAM, ...words, "--output", file]);
  expect(out).toBe("");
  expect(exitCode).toBe(0);
  expect(readFileSync(file, "utf8")).toEndWith("# EOF\n");
  expect(statSync(file).mode & 0o777).toBe(0o644);
  expect(readdirSync(directory)).toEqual(["pmxcfs-ipc.prom"]);
});

test("as a command: --only CODE shows that code and the passes of its check", async () => {
  const words = ["--check", "--socket", server.name, "--only", "REPLY_EMPTY", "--json"];
  const { out } = await run([...PROGRAM, ...words]);
  const { findings } = JSON.parse(out) as { findings: { check: string; code: string | null }[] };
  expect(new Set(findings.map(({ check }) => check))).toEqual(new Set(["requests"]));
  expect(findings.flatMap(({ code }) => code ?? [])).toEqual(["REPLY_EMPTY"]);
});

test.each([
  ["shm_ful", "SHM_FULL"],
  ["SHM_FUL", "SHM_FULL"],
  ["databse", "database"],
])("as a command: --only %s gets a suggestion", async (word, meant) => {
  const { error, exitCode } = await run([...PROGRAM, "--check", "--only", word]);
  const why = `"${word}" is neither a check nor a code (did you mean "${meant}"?)`;
  expect(error).toBe(`pmxcfs-ipc: --only: ${why}\n`);
  expect(exitCode).toBe(2);
});

test("as a command: wrong usage is one line", async () => {
  const unknown = await run([...PROGRAM, "--check", "--only", "SOCKET_ABSEND"]);
  expect(unknown.error).toBe(
    'pmxcfs-ipc: --only: "SOCKET_ABSEND" is neither a check nor a code ' +
      '(did you mean "SOCKET_ABSENT"?)\n',
  );
  expect(unknown.exitCode).toBe(2);
  const two = await run([...PROGRAM, "--check", "--json", "--nagios"]);
  expect(two.error).toBe("pmxcfs-ipc: --json and --nagios: only one of them\n");
  const dry = await run([...PROGRAM, "--check", "--dry-run"]);
  expect(dry.error).toBe("pmxcfs-ipc: --dry-run needs --clean-stale\n");
});

test("as a command: a report that cannot be written is UNKNOWN, not a warning", async () => {
  const words = ["--check", "--only", "memory", "--json"];
  const full = await run(["sh", "-c", '"$@" > /dev/full', "sh", ...PROGRAM, ...words]);
  expect(full.error).toStartWith("pmxcfs-ipc: cannot write to stdout: ENOSPC");
  expect(full.exitCode).toBe(3);
});
