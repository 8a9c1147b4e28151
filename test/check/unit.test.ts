/**
 * The service and its journal. No systemd runs in a test, so systemctl and journalctl are programs
 * that print what the real ones print; everything from there on is the real path.
 */
import { afterAll, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { needRoot } from "../support/identity.ts";
import { codesOf, expectFound, nodeCommand, shell, type Told, told } from "./support/run.ts";

needRoot();

const directory = mkdtempSync(join(tmpdir(), "check-unit-"));
afterAll(() => rmSync(directory, { recursive: true }));

interface Unit {
  readonly load?: string;
  readonly active?: string;
  readonly sub?: string;
  readonly result?: string;
  readonly restarts?: number;
}

/** As `systemctl show` prints pve-cluster.service; our unit is not installed. */
function shown({ load, active, sub, result, restarts }: Unit): string {
  return `Restart=on-failure
NRestarts=${restarts ?? 0}
Result=${result ?? "success"}
Id=pve-cluster.service
LoadState=${load ?? "loaded"}
ActiveState=${active ?? "active"}
SubState=${sub ?? "running"}
ActiveEnterTimestamp=Mon 2026-11-23 10:00:00 UTC

NRestarts=0
Result=success
Id=pmxcfs-ipc.service
LoadState=not-found
ActiveState=inactive
SubState=dead
ActiveEnterTimestamp=
`;
}

let programs = 0;

/** A directory with a systemctl and a journalctl that print these. */
function systemd(unit: Unit, journal: readonly string[]): string {
  const bin = join(directory, `bin-${programs++}`);
  Bun.spawnSync(["mkdir", bin]);
  const texts = { systemctl: shown(unit), journalctl: `${journal.join("\n")}\n` };
  for (const [name, text] of Object.entries(texts)) {
    writeFileSync(join(bin, `${name}.txt`), text);
    writeFileSync(join(bin, name), `#!/bin/sh\ncat '${join(bin, name)}.txt'\n`);
    chmodSync(join(bin, name), 0o755);
  }
  return bin;
}

async function judged(
  unit: Unit,
  journal: readonly string[] = [],
  listening = false,
): Promise<Told> {
  const server = `${shell(nodeCommand("svc"))} > /dev/null & await listening svc`;
  return await told(`export PATH=${systemd(unit, journal)}:$PATH
    ${listening ? server : ""}
    $CHECK --socket svc --only unit --json || true`);
}

test("a running service passes", async () => {
  const report = await judged({}, [], true);
  expect(codesOf(report)).toEqual([]);
  expect(report.findings[0]?.text).toBe(
    "pve-cluster.service is active since Mon 2026-11-23 10:00:00 UTC, restarted 0 times",
  );
});

test("UNIT_FAILED: the service ended by itself", async () => {
  const report = await judged({ active: "failed", sub: "failed", result: "exit-code" });
  expectFound(report, "UNIT_FAILED", {
    line: /^pve-cluster\.service has failed: exit-code$/,
    fix: /^journalctl -b -u pve-cluster\.service -n 30; systemctl reset-failed /,
    exit: 2,
  });
});

test("UNIT_INACTIVE: nobody started it", async () => {
  expectFound(await judged({ active: "inactive", sub: "dead" }), "UNIT_INACTIVE", {
    line: /^pve-cluster\.service is inactive \(dead\)$/,
    fix: /^systemctl enable --now pve-cluster\.service$/,
    exit: 1,
  });
});

test("UNIT_MASKED: it cannot start", async () => {
  expectFound(await judged({ load: "masked", active: "inactive" }), "UNIT_MASKED", {
    line: /^pve-cluster\.service is masked$/,
    fix: /^systemctl unmask pve-cluster\.service && systemctl start pve-cluster\.service$/,
    exit: 1,
  });
});

test("UNIT_RESTARTS: it crashes again and again", async () => {
  expectFound(await judged({ restarts: 7 }, [], true), "UNIT_RESTARTS", {
    line: /^systemd has restarted pve-cluster\.service 7 times \(limit 3\)$/,
    fix: /coredumpctl list$/,
    exit: 1,
  });
});

test("LOG_ERROR: the last known line of a service that is down, with its neighbours", async () => {
  const journal = [
    "[database] crit: found entry with duplicate name 'storage.cfg' - A:(inode = 0x1)",
    "[main] notice: exit proxmox configuration filesystem (-1)",
    "pve-cluster.service: Main process exited, code=exited, status=255/EXCEPTION",
  ];
  const report = await judged({ active: "failed", result: "exit-code" }, journal);
  expectFound(report, "LOG_ERROR", {
    line: /^pve-cluster\.service logged: /,
    fix: /^pmxcfs-ipc explain '/,
    exit: 2,
  });
});

test("CPG_RETRIES: corosync is slow", async () => {
  const line = "[dcdb] notice: cpg_send_message retried 25 times";
  const journal = Array.from({ length: 12 }, () => line);
  expectFound(await judged({}, journal, true), "CPG_RETRIES", {
    line: /^cpg_send_message was retried 12 times in the last hour \(limit 10\)$/,
    fix: /^corosync-cfgtool -s;/,
    exit: 1,
  });
});

test("STATUS_SLOW: pvestatd's long cycles", async () => {
  const journal = ["status update time (7.125 seconds)", "status update time (12.3 seconds)"];
  expectFound(await judged({}, journal, true), "STATUS_SLOW", {
    line: /^2 slow cycles of pvestatd in the last hour, the longest 12\.3 s \(limit 5 s\)$/,
    fix: /^journalctl -u pvestatd --since -1h; pvesm status$/,
    exit: 1,
  });
});

test("without systemd the check is skipped, and says why", async () => {
  const report = await told("$CHECK --only unit --json || true");
  expect(report.findings.map(({ severity }) => severity)).toEqual(["skip"]);
  expect(report.findings[0]?.text).toMatch(/^(systemctl|neither)/);
});

test("a systemctl that hangs is killed", async () => {
  const bin = systemd({}, []);
  writeFileSync(join(bin, "systemctl"), "#!/bin/sh\nexec sleep 1000\n");
  const report = await told(`export PATH=${bin}:$PATH
    $BARE --only unit --deadline 400ms --json || true`);
  expect(report.findings.map(({ text }) => text)).toEqual(["systemctl did not answer in time"]);
});
