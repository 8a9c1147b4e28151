/** Commands that take more than a second show on a terminal, and only there, how far they are. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { SOURCES } from "../compat/run-compat.ts";
import { shell } from "../check/support/run.ts";
import { REPOSITORY } from "../support/native.ts";
import { type Service, startService } from "../support/service.ts";
import { testUnless } from "../support/unless.ts";

let service: Service;
beforeAll(async () => {
  service = await startService((name) => [...SOURCES, "echo", "--socket", name]);
});
afterAll(async () => {
  await service.stop();
});

/** What a terminal gets from stdout and stderr, and what pipes get from stderr. */
function shown(...words: string[]): { terminal: string; piped: string } {
  return shownOf([...SOURCES, ...words]);
}

function shownOf(command: readonly string[]): { terminal: string; piped: string } {
  const line = shell(command);
  const env = { ...process.env, TERM: "xterm", NO_COLOR: "1" };
  const { stdout } = Bun.spawnSync(["script", "-qec", line, "/dev/null"], { stdin: "ignore", env });
  const { stderr } = Bun.spawnSync([...command], { env });
  return { terminal: stdout.toString(), piped: stderr.toString() };
}

test("bench shows the round", () => {
  const load = ["--id", "9", "--client", "own", "--duration", "2400ms", "--rounds", "4"];
  const { terminal, piped } = shown("bench", "--socket", service.name, ...load);
  expect(terminal).toContain(`\r\u001B[2K${service.name}: round 3 of 4`);
  expect(terminal).toMatch(/round \d of 4\r\S{4}1 connection through own/);
  expect(piped).toBe("");
});

test("--check names what it waits for", () => {
  service.signal("SIGSTOP");
  try {
    const only = ["--only", "handshake,database", "--deadline", "1500ms"];
    const { terminal, piped } = shown("--check", "--socket", service.name, ...only);
    expect(terminal).toContain("\r\u001B[2Kchecks config.db");
    expect(terminal).toMatch(/\r\S{4}FAIL: /);
    expect(piped).toBe("");
  } finally {
    service.signal("SIGCONT");
  }
});

testUnless(process.getuid?.() === 0 ? undefined : "needs root, for a network namespace")(
  "cluster status shows that it waits for a corosync that hangs",
  () => {
    const raw = shell([process.execPath, join(REPOSITORY, "test/check/servers/raw.ts")]);
    const script = `for name in cmap quorum cpg; do ${raw} $name hang > /dev/null & done
      until [ $(grep -c " 00010000 " /proc/net/unix) -ge 3 ]; do sleep 0.02; done
      ${shell(SOURCES)} cluster status`;
    const own = ["unshare", "-m", "-n", "-p", "-f", "--mount-proc", "--kill-child"];
    const { terminal, piped } = shownOf([...own, "sh", "-c", script]);
    expect(terminal).toContain("\r\u001B[2Kasks corosync");
    expect(terminal).toMatch(/corosync does not answer: cmap: /);
    expect(piped).not.toContain("asks corosync");
  },
);
