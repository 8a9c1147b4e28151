/** Every command that the diagnosis and `explain` print can be run unchanged. */
import { expect, test } from "bun:test";
import { CODES, type CodeName, rowOf } from "../../src/tools/diagnosis/codes.ts";
import { TEXTS } from "../../src/tools/diagnosis/explain.ts";
import { READS } from "../../src/tools/check/session.ts";
import { needRoot } from "../support/identity.ts";
import { nodeCommand, run, sandbox, shell } from "./support/run.ts";

needRoot();

/** Values for the templates. */
const VALUES: Readonly<Record<string, string>> = {
  check: "memory",
  call: "get-fs-version",
  key: "tasklist",
  node: "pve1",
  server: "pve1",
  name: "pve1",
  unit: "pve-cluster.service",
  service: "pve2",
  // Of the sandbox: a command that takes the lock of a database makes a file beside it.
  path: "/dev/shm/pve",
  pid: "1",
  euid: "0",
  egid: "0",
  message: "'[main] crit: x'",
};

function filled(template: string): string {
  return template.replaceAll(/\{(\w+)\}/g, (whole, name: string) => VALUES[name] ?? whole);
}

/** The commands among the texts in backticks: a program and its arguments. */
function commandsIn(text: string | undefined): string[] {
  return [...filled(text ?? "").matchAll(/`([^`]+)`/g)].map(([, command = ""]) => command);
}

const FIXES = (Object.keys(CODES) as CodeName[]).flatMap((code) => rowOf(code).fix ?? []);
const CAUSES = TEXTS.flatMap(({ causes }) => causes);
const PRINTED = [
  ...FIXES.map(filled),
  ...(Object.keys(CODES) as CodeName[]).flatMap((code) => commandsIn(rowOf(code).advice)),
  ...TEXTS.flatMap(({ meaning }) => commandsIn(meaning)),
  ...CAUSES.flatMap(({ text, check }) => commandsIn(text).concat(commandsIn(check))),
];

/** Programs of Debian and of PVE; no other is named. */
const PROGRAMS: ReadonlySet<string> = new Set(
  [
    "pmxcfs-ipc pmxcfs systemctl journalctl coredumpctl hostnamectl timedatectl chronyc pvecm",
    "pvesm pveum pveversion qm corosync-cfgtool corosync-quorumtool apt-get grep cat ls ps",
    "awk cp df du free find findmnt fuser getent head id ip kill mkdir mknod modprobe mount mv",
    "corosync pvesr pvesh zfs zpool lvs sha256sum diff",
    "hostname dpkg apt rrdtool ha-manager pvenode pct ceph pveceph pve-firewall",
    "nsenter ping pgrep prlimit printf readlink rm setpriv smartctl sort ss stat tail time",
    "timeout tr umount uptime wc chown chmod groupadd dmesg curl ssh hosts: 0 [ ( {",
  ].flatMap((words) => words.split(" ")),
);

/** The first words of the commands of a pipeline or list, quoted parts left out. */
function programsOf(command: string): string[] {
  const bare = command.replaceAll(/"[^"]*"|'[^']*'|\$\([^()]*\)/g, "Q");
  return bare
    .split(/\|\||&&|[|;]/)
    .map((part) => part.trim().split(/\s+/)[0] ?? "")
    .map((word) => (word.startsWith("(") ? "(" : word))
    .filter((word) => word !== "" && word !== "}" && word !== "Q");
}

test("every command uses programs that a node has", () => {
  // fixes.test.ts runs the fixes.
  const advised = PRINTED.filter((command) => !FIXES.map(filled).includes(command));
  const strange = advised.flatMap((command) =>
    programsOf(command)
      .filter((word) => !PROGRAMS.has(word) && !word.startsWith("("))
      .map((word) => `${word}: ${command}`),
  );
  expect(strange).toEqual([]);
});

test("a shell can parse every command", async () => {
  for (const command of new Set(PRINTED)) {
    const { error } = await run(["sh", "-n", "-c", command]);
    expect([command, error]).toEqual([command, ""]);
  }
});

/** Commands of our own program, without those that do not end by themselves or read stdin. */
const OURS = [
  ...new Set(PRINTED.flatMap((command) => /pmxcfs-ipc [^|;&"]*/.exec(command)?.[0].trim() ?? [])),
].filter((command) => !/ (top|serve|explain -$)|\$t|rescued|\.new/.test(command));

test("our program accepts every command of its own", async () => {
  const calls = READS.map(({ call }) => `pmxcfs-ipc call ${call}`);
  const all = [...OURS, ...calls];
  expect(all.length).toBeGreaterThan(20);
  const program = shell(nodeCommand("pve2", { node: "pve1", status: { tasklist: 3 } }));
  const lines = all.map((command) => `echo "# $?"; ${command} < /dev/null > /dev/null || true`);
  const { error } = await sandbox(`hostname pve1; mkdir /dev/shm/bin
    printf '#!/bin/sh\nexec %s "$@"\n' "\${BARE% --check}" > /dev/shm/bin/pmxcfs-ipc
    chmod +x /dev/shm/bin/pmxcfs-ipc; export PATH=/dev/shm/bin:$PATH
    ${program} > /dev/null & await listening pve2
    ${lines.join("\n")}`);
  expect(
    error.split("\n").filter((line) => /option|usage|unknown|neither|missing/i.test(line)),
  ).toEqual([]);
});
