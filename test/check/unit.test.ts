/** The service and its journal: under a real systemd, and without one. */
import { needRoot } from "../support/identity.ts";
import { native } from "../support/native.ts";
import { testUnless } from "../support/unless.ts";
import { codesOf, expectFound, told } from "./support/run.ts";
import { driver, expectFixed, triedOf } from "./support/fixes.ts";
import { noSystemd, printedUnderSystemd, underSystemd } from "./support/systemd.ts";
import { expect, test } from "bun:test";

needRoot();

const testSystemd = testUnless(noSystemd());

/** A server that listens on @svc. */
const SERVER = `${native("qb-faulty-server")} svc`;
const LISTENING = `grep -q "00010000 .* @svc" /proc/net/unix`;

/** pve-cluster.service that does this before it serves. */
function serving(before = "true", more = ""): Record<string, string> {
  const unit = `[Service]\nExecStart=/bin/bash -c '${before}; exec ${SERVER}'\n${more}`;
  return { "pve-cluster.service": unit };
}

/** pve-cluster.service that logs this and ends, slowly enough for the journal to name the unit. */
function failing(...lines: readonly string[]): Record<string, string> {
  const words = lines.map((line) => `echo "${line}"; `).join("");
  const unit = `[Service]\nExecStart=/bin/bash -c '${words}journalctl --sync; exit 255'\n`;
  return { "pve-cluster.service": unit };
}

const START = { start: ["pve-cluster.service"], until: LISTENING };
const START_IN_VAIN = {
  start: ["pve-cluster.service"],
  until: "systemctl is-failed --quiet pve-cluster",
};

testSystemd("a running service passes", async () => {
  const report = await underSystemd({ units: serving(), ...START });
  expect(codesOf(report)).toEqual([]);
  expect(report.findings[0]?.text).toMatch(
    /^pve-cluster\.service is active since \w{3} \d{4}-\d\d-\d\d [\d:]+ \w+, restarted 0 times$/,
  );
  expect(report.exit_code).toBe(0);
});

testSystemd("UNIT_FAILED: the service ended by itself", async () => {
  const report = await underSystemd({ units: failing(), ...START_IN_VAIN });
  expectFound(report, "UNIT_FAILED", {
    line: /^pve-cluster\.service has failed: exit-code$/,
    fix: /^systemctl reset-failed pve-cluster\.service; systemctl restart pve-cluster\.service$/,
    exit: 2,
  });
});

testSystemd("UNIT_INACTIVE: nobody started it", async () => {
  expectFound(await underSystemd({ units: serving() }), "UNIT_INACTIVE", {
    line: /^pve-cluster\.service is inactive \(dead\)$/,
    fix: /^systemctl start pve-cluster\.service$/,
    exit: 1,
  });
});

testSystemd("our own unit, which is off on a node, is not proposed to be started", async () => {
  const ours = { "pmxcfs-ipc.service": `[Service]\nExecStart=${SERVER}\n` };
  const report = await underSystemd({ units: { ...serving(), ...ours } });
  expect(report.findings.map(({ code, fix }) => [code, fix])).toEqual([
    ["UNIT_INACTIVE", "systemctl start pve-cluster.service"],
  ]);
  // On another host it is the one that serves.
  const alone = await underSystemd({ units: ours });
  expect(alone.findings.map(({ code, fix }) => [code, fix])).toEqual([
    ["UNIT_INACTIVE", "systemctl start pmxcfs-ipc.service"],
  ]);
});

testSystemd("UNIT_MASKED: it cannot start", async () => {
  const report = await underSystemd({ units: {}, masked: ["pve-cluster.service"] });
  expectFound(report, "UNIT_MASKED", {
    line: /^pve-cluster\.service is masked$/,
    fix: /^systemctl unmask (\S+) && systemctl unmask --runtime \1 && systemctl start \1$/,
    exit: 1,
  });
});

testSystemd("UNIT_RESTARTS: it crashes again and again", async () => {
  // In a unit file $$ stands for one $.
  const crashes = "echo x >> /root/starts; [ $$(wc -l < /root/starts) -gt 4 ] || kill -ABRT $$$$";
  const again = "Restart=on-failure\nRestartSec=0\n[Unit]\nStartLimitIntervalSec=0\n";
  const report = await underSystemd({
    units: serving(crashes, again),
    ...START,
  });
  expectFound(report, "UNIT_RESTARTS", {
    line: /^systemd has restarted pve-cluster\.service 4 times \(limit 3\)$/,
    fix: /`coredumpctl list`\.$/,
    exit: 1,
  });
});

testSystemd("LOG_ERROR: the last known line of a service that is down", async () => {
  // The last five lines are shown; systemd's own "Started" may come after those of the service.
  const units = failing(
    "[database] crit: found entry with duplicate name storage.cfg - A:(inode = 0x1)",
    "fuse: mount -o password=PLANTED01",
    "[main] notice: exit proxmox configuration filesystem (-1)",
  );
  const report = await underSystemd({ units, ...START_IN_VAIN });
  expectFound(report, "LOG_ERROR", {
    line: /^pve-cluster\.service logged: /,
    fix: /^See `pmxcfs-ipc explain -- '/,
    exit: 2,
  });
  const line = report.findings.find(({ code }) => code === "LOG_ERROR");
  expect(line?.text).toContain("found entry with duplicate name");
  expect(line?.details).toContain("fuse: mount -o password=***");
  expect(JSON.stringify(report)).not.toContain("PLANTED01");
});

testSystemd("LOG_ERROR names our own unit where that is the one that serves", async () => {
  const line = "[main] crit: Unable to get www-data group ID";
  const [service = ""] = Object.values(failing(line));
  const report = await underSystemd({
    units: { "pmxcfs-ipc.service": service },
    start: ["pmxcfs-ipc.service"],
    until: "systemctl is-failed --quiet pmxcfs-ipc",
  });
  const found = report.findings.find(({ code }) => code === "LOG_ERROR");
  expect(found?.text).toBe(`pmxcfs-ipc.service logged: ${line}`);
});

testSystemd("CPG_RETRIES: corosync is slow", async () => {
  const line = "[dcdb] notice: cpg_send_message retried 25 times";
  const units = serving(`for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo "${line}"; done`);
  expectFound(await underSystemd({ units, ...START }), "CPG_RETRIES", {
    line: /^cpg_send_message was retried 12 times in the last hour \(limit 10\)$/,
    fix: /^Look at `corosync-cfgtool -s`/,
    exit: 1,
  });
});

/** The line that pvestatd logs after a cycle of this many seconds. */
function slow(seconds: string): string {
  return `echo "status update time (${seconds} seconds)"; `;
}

testSystemd("STATUS_SLOW: pvestatd's long cycles", async () => {
  const pvestatd = `[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/bash -c '${slow("7.125")}${slow("12.3")}journalctl --sync'
`;
  const units = { ...serving(), "pvestatd.service": pvestatd };
  const start = ["pve-cluster.service", "pvestatd.service"];
  expectFound(await underSystemd({ units, start, until: LISTENING }), "STATUS_SLOW", {
    line: /^2 slow cycles of pvestatd in the last hour, the longest 12\.3 s \(limit 5 s\)$/,
    fix: /^Look at `journalctl -u pvestatd --since -1h` and `pvesm status`\.$/,
    exit: 1,
  });
});

test("without systemd the check is skipped, with the reason", async () => {
  const report = await told("$CHECK --only unit --json || true");
  expect(report.findings.map(({ severity }) => severity)).toEqual(["skip"]);
  expect(report.findings[0]?.text).toMatch(/^(systemctl|neither)/);
});

test("a server beside its stopped unit is not said to have no unit", async () => {
  const report = await told(`mkdir /dev/shm/bin; cat > /dev/shm/bin/systemctl <<'END'
#!/bin/sh
echo Id=pve-cluster.service; echo LoadState=loaded; echo ActiveState=inactive
END
    chmod +x /dev/shm/bin/systemctl; export PATH=/dev/shm/bin:$PATH
    ${SERVER} > /dev/null & await listening svc
    $CHECK --socket svc --only unit --json || true`);
  expect(report.findings.map(({ text }) => text)).toEqual([
    "pve-cluster.service is off, and another process serves",
  ]);
});

/** A systemctl that shows pve-cluster.service in this state. */
function shown(active: string, sub: string): string {
  return `mkdir /dev/shm/bin; cat > /dev/shm/bin/systemctl <<'END'
#!/bin/sh
echo Id=pve-cluster.service; echo LoadState=loaded; echo Result=exit-code
echo ActiveState=${active}; echo SubState=${sub}
END
    chmod +x /dev/shm/bin/systemctl; export PATH=/dev/shm/bin:$PATH
  `;
}

test("UNIT_STARTING: a start that has not ended is not a service that was stopped", async () => {
  const report = await told(`${shown("activating", "start")} $CHECK --only unit --json || true`);
  expectFound(report, "UNIT_STARTING", {
    line: /^pve-cluster\.service is activating \(start\)$/,
    fix: /^Run `pmxcfs-ipc --check` again after some seconds\./,
    exit: 1,
  });
});

testSystemd("UNIT_SKIPPED: the program is not there, and a start reports no error", async () => {
  const condition = "[Unit]\nConditionFileIsExecutable=/usr/bin/no-such-pmxcfs\n";
  const report = await underSystemd({
    units: serving("true", condition),
    start: ["pve-cluster.service"],
    until: "[ $(systemctl show -P ConditionTimestampMonotonic pve-cluster) != 0 ]",
  });
  expectFound(report, "UNIT_SKIPPED", {
    line: /^pve-cluster\.service is inactive \(dead\): systemd did not start it, because of a /,
    fix: /^`systemctl status pve-cluster\.service` names the condition\. /,
    exit: 2,
  });
  expect(report.findings.flatMap(({ fix }) => fix ?? [])).toEqual([]);
});

/** A journal that has these lines, all of them older than an hour. */
function logged(...lines: readonly string[]): string {
  return `cat > /dev/shm/bin/journalctl <<'END'
#!/bin/sh
case "$*" in *--since*) exit 0;; esac
${lines.map((line) => `echo '${line}'`).join("\n")}
END
    chmod +x /dev/shm/bin/journalctl
  `;
}

test("the reason of a failure is found in the log hours later, too", async () => {
  const line = "[main] crit: Unable to get www-data group ID";
  const report = await told(`${shown("failed", "failed")} ${logged(line)}
    $CHECK --only unit --json || true`);
  expect(codesOf(report)).toEqual(["UNIT_FAILED", "LOG_ERROR"]);
});

test("errors before an ordered stop are not why a service does not run", async () => {
  const lines = [
    "[dcdb] crit: cpg_send_message failed: 6",
    "[main] notice: teardown filesystem",
    "[main] notice: exit proxmox configuration filesystem (0)",
  ];
  const report = await told(`${shown("inactive", "dead")} ${logged(...lines)}
    $CHECK --only unit --json || true`);
  expect(codesOf(report)).toEqual(["UNIT_INACTIVE"]);
});

test("a failed service beside a server started by hand has no fix that fails again", async () => {
  const report = await told(`${shown("failed", "failed")}
    mount -t tmpfs tmpfs /var/lib; mkdir /var/lib/pve-cluster
    flock --no-fork /var/lib/pve-cluster/.pmxcfs.lockfile ${SERVER} > /dev/null &
    await listening svc
    $CHECK --socket svc --only unit --json || true`);
  expectFound(report, "UNIT_FAILED", {
    line: /^pve-cluster\.service has failed: exit-code$/,
    fix: /^pid \d+ \(qb-faulty-serve\) serves @svc and holds pmxcfs's lock, .*`kill \d+`, then /,
    exit: 2,
  });
  expect(report.findings.flatMap(({ fix }) => fix ?? [])).toEqual([]);
});

testSystemd("the fix of a service that is active without its socket restarts it", async () => {
  const again = "[ $$(wc -l < /run/starts) = 1 ]";
  const unit = `[Service]
ExecStartPre=/bin/bash -c 'echo x >> /run/starts'
ExecStart=/bin/bash -c '${again} && exec sleep 600; exec ${SERVER}'
ExecStartPost=/bin/bash -c '${again} || until ${LISTENING}; do sleep 0.02; done'
`;
  const attempt = { code: "SOCKET_ABSENT", only: ["listener"], roots: ["/etc"] } as const;
  const printed = await printedUnderSystemd({
    units: { "pve-cluster.service": unit },
    start: ["pve-cluster.service"],
    command: driver(attempt),
  });
  const tried = triedOf(printed, printed);
  expectFixed(tried, "SOCKET_ABSENT");
  expect(tried.fixes).toEqual(["systemctl restart pve-cluster"]);
});

test("a systemctl that hangs is killed", async () => {
  const report = await told(`mkdir /dev/shm/bin
    printf '#!/bin/sh\\nexec sleep 1000\\n' > /dev/shm/bin/systemctl
    chmod +x /dev/shm/bin/systemctl
    export PATH=/dev/shm/bin:$PATH
    $BARE --only unit --deadline 800ms --json || true`);
  expect(report.findings.map(({ text }) => text)).toEqual(["systemctl did not answer in time"]);
});
