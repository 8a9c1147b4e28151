/** `explain`: error texts in the forms in which people paste them. */
import { CODES, type CodeName, EFFECTS, isCode } from "../../src/tools/diagnosis/codes.ts";
import { remedyOf } from "../../src/tools/diagnosis/explain-text.ts";
import { TEXTS, explain, textsOf } from "../../src/tools/diagnosis/explain.ts";
import { PROGRAM, run } from "./support/run.ts";
import { expect, test } from "bun:test";

/** A pasted line, the entry it must get, and the cause that must come first. */
const LINES: readonly (readonly [line: string, id: string, first?: CodeName])[] = [
  ["ipcc_send_rec[1] failed: Unknown error -1", "unknown-error", "ACCESS_REFUSED_UID"],
  ["Unable to load access control list: Unknown error -1", "acl-list", "ACCESS_REFUSED_UID"],
  [
    "Nov 23 10:11:12 pve1 pvedaemon[99]: ipcc_send_rec[2] failed: Connection refused",
    "connection-refused",
    "SOCKET_ABSENT",
  ],
  [
    "ipcc_send_rec[6] failed: Transport endpoint is not connected",
    "not-connected",
    "REQUEST_DISCONNECTED",
  ],
  [
    "ls: cannot access '/etc/pve': Transport endpoint is not connected",
    "not-connected",
    "PVE_DEAD_MOUNT",
  ],
  [
    "stat: cannot statx “/etc/pve”: Transport endpoint is not connected",
    "not-connected",
    "PVE_DEAD_MOUNT",
  ],
  ["ipcc_send_rec[10] failed: No buffer space available", "no-buffer-space", "REPLY_TOO_LARGE"],
  ["ipcc_send_rec[6] failed: No buffer space available", "no-buffer-space", "DB_FILE_LARGE"],
  ["ipcc_send_rec[4] failed: File too large", "file-too-large", "STATUS_LARGE"],
  ["ipcc_send_rec[1] failed: No space left on device", "no-space", "SHM_FULL"],
  ["cp: error writing '/etc/pve/x': No space left on device", "no-space", "DB_DISK_LOW"],
  [
    "unable to write pid file /run/pve-cluster.pid: No space left on device",
    "no-space",
    "RUN_FULL",
  ],
  [
    "[main] crit: Failed to create file '/var/run/pve-cluster.pid.tmp.8': No space left on device",
    "no-space",
    "RUN_FULL",
  ],
  ["ipcc_send_rec[4] failed: Operation not permitted", "operation-not-permitted"],
  ["ipcc_send_rec[1] failed: Permission denied", "permission-denied", "RINGS_NOT_OPENABLE"],
  ["ipcc_send_rec[3] failed: Bad file descriptor", "bad-descriptor"],
  [
    "ipcc_send_rec[1] failed: Resource temporarily unavailable",
    "resource-unavailable",
    "FLOW_CONTROL_ON",
  ],
  [
    "[main] crit: unable to acquire pmxcfs lock: Resource temporarily unavailable",
    "pmxcfs-lock",
    "DB_LOCKED_BY_OTHER",
  ],
  ["cluster not ready - no quorum? (500)", "no-quorum", "NO_QUORUM"],
  [
    "[main] crit: memdb_open failed - unable to open database '/var/lib/pve-cluster/config.db'",
    "memdb-open",
  ],
  [
    "[database] crit: found entry with duplicate name 'x' - A:(inode = 0x1)",
    "memdb-open",
    "DB_DUPLICATE_NAME",
  ],
  ["[status] crit: detected duplicate VMID 100", "memdb-open", "DB_DUPLICATE_VMID"],
  [
    "[database] crit: missing directory inode (inode = 0000000000001E61)",
    "memdb-open",
    "DB_ORPHAN",
  ],
  ["[database] crit: splite3_open_v2 failed: 14#010", "memdb-open", "DB_CORRUPT"],
  [
    "[main] crit: Unable to resolve node name 'vm' to a non-loopback IP address",
    "node-name",
    "NAME_LOOPBACK",
  ],
  [
    "[main] crit: Unable to resolve node name 'localhost' to a non-loopback IP address",
    "node-name",
    "HOSTNAME_LOST",
  ],
  ["Unable to get local IP address", "node-name"],
  ["[dcdb] notice: cpg_send_message retried 25 times", "cpg-retried", "CPG_RETRIES"],
  ["pvestatd[1234]: status update time (12.3 seconds)", "status-update-time", "STATUS_SLOW"],
  ["[database] crit: insert failed: database or disk is full", "commit-failed", "DB_DISK_LOW"],
  ["touch: cannot touch '/etc/pve/x': Input/output error", "commit-failed"],
  [
    "[database] crit: begin transaction failed: database is locked",
    "commit-failed",
    "DB_LOCKED_BY_OTHER",
  ],
  [
    "[database] crit: delete_inode failed: database disk image is malformed",
    "commit-failed",
    "DB_CORRUPT",
  ],
  ["Unit pve-cluster.service could not be found.", "service-failed", "NOT_INSTALLED"],
  ["fusermount3: mount failed: Operation not permitted", "mountpoint", "FUSE_MISSING"],
  [
    "kernel: cfs_loop[1013]: segfault at 8 ip 0 sp 0 error 4 in pmxcfs[5591000+12000]",
    "server-killed",
    "UNIT_RESTARTS",
  ],
  [
    "pvestatd[9]: malformed JSON string at /usr/share/perl5/PVE/Cluster.pm line 130.",
    "acl-list",
    "REPLY_NOT_JSON",
  ],
  [
    "pmxcfs[1012]: [confdb] crit: cmap_initialize failed: 2",
    "corosync-connect",
    "COROSYNC_UNREACHABLE",
  ],
  [
    "systemd[1]: pveproxy.service: Start-pre operation timed out. Terminating.",
    "daemon-timeout",
    "PVE_HUNG",
  ],
  ["[dcdb] crit: serious problem - (re)sync failed, leaving group", "sync-failed", "CPG_RETRIES"],
  [
    "Job for pve-cluster.service failed because the control process exited with error code.",
    "service-failed",
  ],
  ["pve-cluster.service: Failed with result 'exit-code'.", "service-failed"],
  ["[main] crit: Unable to get www-data group ID", "www-data-group", "GROUP_MISSING"],
  ["fuse: mountpoint is not empty", "mountpoint", "PVE_NOT_EMPTY"],
  ["fuse: device not found, try 'modprobe fuse' first", "mountpoint", "FUSE_MISSING"],
  [
    "[libqb] error: Could not bind AF_UNIX (): Address already in use (98)",
    "address-in-use",
    "SOCKET_TAKEN",
  ],
  ["[ipcs] crit: connection from bad user 0! - rejected", "bad-user", "ACCESS_REFUSED_GID"],
  ["[ipcs] crit: connection from bad user 1000! - rejected", "bad-user", "ACCESS_REFUSED_GID"],
  ["[status] notice: RRD update error /var/lib/rrdcached/db/pve-node-9.0/pve1: x", "rrd-update"],
  [
    "[quorum] crit: quorum_initialize failed: CS_ERR_LIBRARY (failed to connect to corosync)",
    "corosync-connect",
  ],
  ["ipcs: qb_ipcs_response_send: Message too long", "response-send", "REPLY_TOO_LARGE"],
];

for (const [line, id, first] of LINES) {
  test(line, () => {
    const match = explain(line).find(({ text }) => text.id === id);
    expect(match?.text.id).toBe(id);
    if (first !== undefined) expect(match?.causes[0]?.code).toBe(first);
  });
}

test("the server's own text comes before the libc text in the same line", () => {
  const line = "[main] crit: unable to acquire pmxcfs lock: Resource temporarily unavailable";
  expect(explain(line).map(({ text }) => text.id)).toEqual(["pmxcfs-lock", "resource-unavailable"]);
});

test("an EPERM on a write names the read-only caller first", () => {
  const [match] = explain("ipcc_send_rec[7] failed: Operation not permitted");
  expect(match?.request).toBe("LOG_CLUSTER_MSG");
  expect(match?.causes[0]?.text).toMatch(/read-only caller/);
});

test("case, colours, line breaks and typographic quotes do not matter", () => {
  const pasted = "\u001B[31mIPCC_SEND_REC[1]   failed:\n  Connection\n  Refused\u001B[0m";
  expect(explain(pasted).map(({ text }) => text.id)).toEqual(["connection-refused"]);
});

test("a paste of several lines explains each error once", () => {
  const pasted = [1, 2, 3]
    .map((id) => `ipcc_send_rec[${id}] failed: Connection refused`)
    .join("\n");
  const ids = explain(`${pasted}\nUnable to load access control list: Connection refused`);
  expect(ids.map(({ text }) => text.id)).toEqual(["connection-refused", "acl-list"]);
});

test("a record of the journal in JSON is the line that syslog has", () => {
  const record = {
    SYSLOG_IDENTIFIER: "pmxcfs",
    _PID: "1012",
    MESSAGE: "[main] crit: Unable to get www-data group ID",
    // A record has some forty fields: more than a line of a log usually has.
    _CMDLINE: "x".repeat(6_000),
  };
  const bytes = { ...record, MESSAGE: [...Buffer.from("\u001B[31mnode lost quorum\u001B[0m")] };
  const log = `${JSON.stringify(record)}\n${JSON.stringify(bytes)}\n`;
  expect(explain(log).map(({ text }) => text.id)).toEqual(["www-data-group", "no-quorum"]);
  const foreign = { SYSLOG_IDENTIFIER: "mysqld", _PID: "5", MESSAGE: "Connection refused" };
  expect(explain(JSON.stringify(foreign))).toEqual([]);
});

test("of a log the causes come before their symptoms, and normal lines last", () => {
  const log = [
    "Nov 25 10:00:00 pve1 pvedaemon[9]: starting 3 worker(s)",
    "Nov 25 10:00:00 pve1 pveproxy[7]: ipcc_send_rec[1] failed: Connection refused",
    "Nov 25 10:00:01 pve1 systemd[1]: pve-cluster.service: Start request repeated too quickly.",
    "Nov 25 10:00:02 pve1 corosync[5]: [KNET  ] link: host: 2 link: 0 is down",
    "Nov 25 10:00:03 pve1 pmxcfs[4]: [main] crit: Unable to resolve node name 'pve1' to a x",
  ].join("\n");
  expect(explain(log).map(({ text }) => text.id)).toEqual([
    "corosync-links",
    "node-name",
    "connection-refused",
    "service-failed",
    "daemon-normal",
  ]);
});

test("a line of another program is not ours because the host is called pve", () => {
  const lines = [
    "Nov 25 10:11:12 pve1 mysqld[551]: [ERROR] InnoDB: Unable to lock ./ibdata1 error: 11",
    "Nov 25 10:11:12 pve sonarr[4]: database is locked",
    "Nov 25 10:11:12 pve1 etcd[12]: cluster has no quorum",
  ];
  expect(lines.filter((line) => explain(line).length > 0)).toEqual([]);
});

test("other text has no explanation", () => {
  expect(explain("everything is fine, thank you")).toEqual([]);
});

test("every code is a cause in the texts it names, and every text has causes", () => {
  const ids = TEXTS.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  for (const [code, row] of Object.entries(CODES)) {
    const seen: readonly string[] = "seen" in row ? row.seen : [];
    expect(seen.filter((id) => !ids.includes(id))).toEqual([]);
    if (isCode(code)) expect(textsOf(code).length).toBe(seen.length);
  }
  for (const { causes } of TEXTS) expect(causes.length).toBeGreaterThan(0);
});

test("the cause of a symptom is never a consequence of it", () => {
  for (const [symptom, causes] of Object.entries(EFFECTS)) {
    for (const cause of causes) {
      expect(EFFECTS[cause]?.includes(symptom as CodeName) ?? false).toBe(false);
    }
  }
});

test("as a command: the line, its causes, its fix", async () => {
  const { out, exitCode } = await run([
    ...PROGRAM,
    "explain",
    "ipcc_send_rec[1] failed: Unknown error -1",
  ]);
  expect(out).toMatch(/^Unknown error -1\n/);
  expect(out).toMatch(/The line is about request GET_FS_VERSION\./);
  expect(out).toMatch(/1\. .*\[ACCESS_REFUSED_UID\]/);
  expect(out).toMatch(/check: .*without root \(no sudo\)/);
  expect(out).toMatch(/2\. .*\[ACCESS_REFUSED_GID\]/);
  expect(out).toMatch(/next: Run the program with gid 0: `setpriv --regid 0 --clear-groups`/);
  expect(exitCode).toBe(0);
});

test("as a command: text from stdin, a code, and unknown text", async () => {
  const piped = await run([...PROGRAM, "explain"], "pvesh: Connection refused\n");
  expect(piped.out).toMatch(/^Connection refused\n/);
  const code = await run([...PROGRAM, "explain", "shm_full"]);
  expect(code.out).toMatch(/^SHM_FULL: \/dev\/shm is full/);
  const unknown = await run([...PROGRAM, "explain", "no such error"]);
  expect(unknown.out).toMatch(/^This text is not known/);
  expect(unknown.out).toMatch(/What to run next:\n {2}pmxcfs-ipc --check /);
  expect(unknown.exitCode).toBe(1);
  const named = await run([...PROGRAM, "explain", "pve1 smartd[7]: 8 unreadable sectors"]);
  expect(named.out).toMatch(/^This text is not known/);
  expect(named.out).toMatch(/\n {2}journalctl -b -t smartd -n 50 {2,}what smartd logged/);
});

test("as a command: a line of a report, as a monitoring system shows it", async () => {
  const line = "PMXCFS-IPC CRITICAL - nothing listens on @pve2 [SOCKET_ABSENT] (and 2 more)";
  const { out, exitCode } = await run([...PROGRAM, "explain", line]);
  expect(out).toMatch(/^SOCKET_ABSENT: no listener/);
  expect(exitCode).toBe(0);
  expect((await run([...PROGRAM, "explain", "-"], `${line}\n`)).out).toBe(out);
  expect((await run([...PROGRAM, "explain", "nothing is known [OF_THIS]"])).exitCode).toBe(1);
});

test("a database beside which changes wait is not to be made anew", () => {
  const [match] = explain(
    "pmxcfs[1012]: [database] crit: root inode has unexpected name 'changes wait in " +
      "config.db.changes: start pmxcfs-ipc, or run pmxcfs-ipc config flush'",
  );
  expect(match?.text.id).toBe("memdb-open");
  expect(match?.causes[0]?.text).toMatch(/`pmxcfs-ipc config flush`/);
});

test("a read-only or inode-less file system below the database is its first cause", () => {
  const log = "/var/lib/pve-cluster/config.db-wal";
  const [copied] = explain(`cp: cannot create regular file '${log}': Read-only file system`);
  expect(copied?.causes[0]?.code).toBe("DB_READ_ONLY");
  const [open] = explain("[database] crit: unable to set WAL mode: unable to open database file");
  expect(open?.causes.slice(0, 2).map(({ code }) => code)).toEqual(["DB_CORRUPT", "DB_INODES_LOW"]);
});

test("as a command: text after --, a code with a typo, a code from stdin", async () => {
  const shell = "-bash: cd: /etc/pve: Transport endpoint is not connected";
  const dashed = await run([...PROGRAM, "explain", "--", shell]);
  expect(dashed.out).toMatch(/^Transport endpoint is not connected\n/);
  expect(dashed.out).toMatch(/1\. a dead FUSE mount \[PVE_DEAD_MOUNT\]/);
  const slip = await run([...PROGRAM, "explain", "SHM_FUL"]);
  expect(slip.out).toBe("SHM_FUL is not a code of --check. Did you mean SHM_FULL?\n");
  expect(slip.exitCode).toBe(1);
  expect((await run([...PROGRAM, "explain"], "SHM_FULL\n")).out).toMatch(/^SHM_FULL: /);
});

test("a fix of explain has no placeholder: it names the check that knows the values", async () => {
  const { out } = await run([...PROGRAM, "explain", "DB_LOCKED_BY_OTHER"]);
  expect(out).toMatch(/^fix: {3}pmxcfs-ipc --check --only database$/m);
  for (const code of Object.keys(CODES)) {
    const { fix } = remedyOf(code as CodeName);
    expect(fix ?? "").not.toMatch(/\{\w+\}/);
  }
});

test("as a command: JSON for programs, and the list of codes", async () => {
  const json = await run([...PROGRAM, "explain", "--json", "Connection refused"]);
  const [first] = JSON.parse(json.out) as { id: string; causes: { code: string }[] }[];
  expect(first?.id).toBe("connection-refused");
  expect(first?.causes.map(({ code }) => code)).toContain("NETNS_DIFFERS");
  const list = await run([...PROGRAM, "explain", "--list"]);
  expect(list.out.trim().split("\n").length).toBe(Object.keys(CODES).length);
});

test("--json prints a code as an object, and with --list all codes", async () => {
  const one = await run([...PROGRAM, "explain", "--json", "SOCKET_ABSENT"]);
  const [socket] = JSON.parse(one.out) as Record<string, unknown>[];
  expect(socket).toMatchObject({
    code: "SOCKET_ABSENT",
    severity: "fail",
    check: "listener",
    line: "nothing listens on @pve2",
    fix: "systemctl start pve-cluster",
  });
  const all = await run([...PROGRAM, "explain", "--list", "--json"]);
  const list = JSON.parse(all.out) as Record<string, unknown>[];
  expect(list.map(({ code }) => String(code))).toEqual(Object.keys(CODES));
  expect(list.find(({ code }) => code === "SOCKET_ABSENT")).toEqual(socket ?? {});
  expect([one.exitCode, all.exitCode]).toEqual([0, 0]);
});

test("--markdown and --json exclude each other", async () => {
  const { exitCode, error } = await run([...PROGRAM, "explain", "--markdown", "--json"]);
  expect(error).toBe("pmxcfs-ipc: --markdown and --json: only one of them\n");
  expect(exitCode).toBe(2);
});
