/** A healthy node, and a machine without pmxcfs: the two extremes of a run. */
import { eventually } from "../support/eventually.ts";
import { needRoot } from "../support/identity.ts";
import { native } from "../support/native.ts";
import { type Told, codesOf, nodeCommand, sandbox, shell } from "./support/run.ts";
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

needRoot();

/** Shell lines that give the node's name an address. */
const NAMED = `
hostname pve1
hosts=$(mktemp)
printf '127.0.0.1 localhost\\n192.0.2.1 pve1\\n' > "$hosts"
mount --bind "$hosts" /etc/hosts
rm -f "$hosts" || true
`;

/** Our server, under the name of our program. */
function ours(directory: string, service: string): string {
  const program = join(directory, "pmxcfs-ipc");
  symlinkSync(process.execPath, program);
  const [, ...rest] = nodeCommand(service, { node: "pve1" });
  return shell([program, ...rest]);
}

test("a healthy node passes every check, in under two seconds", async () => {
  const directory = mkdtempSync(join(tmpdir(), "check-healthy-"));
  try {
    const script = `${NAMED}
      ${ours(directory, "healthy")} > /dev/null & await listening healthy
      $BARE --socket healthy --json || true`;
    // A run that waits for a deadline takes longer than this; so may one run on a busy machine.
    const told = await eventually("a run of under two seconds", async () => {
      const { out } = await sandbox(script);
      const report = JSON.parse(out) as Told & { duration_ms: number };
      return report.duration_ms < 2_000 ? report : undefined;
    });
    const bad = told.findings.filter(({ severity }) => !["pass", "skip"].includes(severity));
    expect(bad).toEqual([]);
    expect(told.exit_code).toBe(0);
    expect(told.verdict.text).toMatch(/^the IPC of this node works: \d+ checks passed/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("a healthy C server under another command name gives one notice and exit code 0", async () => {
  const server = shell([native("qb-faulty-server"), "healthy-c"]);
  const { out } = await sandbox(`${NAMED}
    ${server} > /dev/null & await listening healthy-c
    $CHECK --socket healthy-c --only handshake,latency --json || true`);
  const told = JSON.parse(out) as Told;
  expect(codesOf(told)).toEqual(["SERVER_UNKNOWN"]);
  expect(told.exit_code).toBe(0);
});

test("nothing installed is one finding and exit code 2, without a stack trace", async () => {
  const { out, error, exitCode } = await sandbox("exec $CHECK");
  expect(out).toMatch(
    /^FAIL: no pmxcfs on this machine: nothing listens on @pve2, .* \[NOT_INSTALLED\]$/m,
  );
  expect(out.match(/^(FAIL|WARN|NOTICE|PASS|SKIP)/gm)).toEqual(["FAIL"]);
  expect(out).toMatch(/^ +cause: .*\n[\s\S]*^ +fix: /m);
  expect(error).toBe("");
  expect(exitCode).toBe(2);
});

test("an ordinary user gets a report, not an error", async () => {
  const { out, error, exitCode } = await sandbox(
    "exec setpriv --reuid 1000 --regid 1000 --clear-groups $CHECK",
  );
  expect(out).toMatch(/^FAIL: no pmxcfs on this machine/);
  expect(error).toBe("");
  expect(exitCode).toBe(2);
});
