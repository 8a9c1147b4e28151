/** Fixes and advice for config.db while pmxcfs runs: what only its memory has is kept. */
import type { CodeName } from "../../src/tools/diagnosis/codes.ts";
import { needRoot } from "../support/identity.ts";
import { expectFixed, follow } from "./support/fixes.ts";
import { named, placed, serviceManager, writeLargeDatabase } from "./support/states.ts";
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

needRoot();

const directory = mkdtempSync(join(tmpdir(), "check-fixes-running-"));
afterAll(() => rmSync(directory, { recursive: true }));

const LARGE = join(directory, "large.db");
writeLargeDatabase(LARGE);

const DATABASE = ["database"];
/** What the file holds that is in place afterwards. */
const TREE = "pmxcfs-ipc config ls --db /var/lib/pve-cluster/config.db";

/** A node of ours with its mount, whose database gets this fault while it runs. */
function runningWith(fault: string): string {
  return `${named("127.0.0.1 localhost\n192.0.2.7 pve1\n")}
    ${placed(LARGE)}
    pmxcfs-ipc serve --socket svc --mount /etc/pve --local --no-rrd > /run/log 2>&1 &
    echo $! > /run/server; await test -L /etc/pve/local; await listening svc
    ${fault}
    ${serviceManager("[ $1 != stop ] || kill $(cat /run/server)")}`;
}

test("the fix of a file that lacks rows uses the tree of the pmxcfs that runs", async () => {
  const file = "/var/lib/pve-cluster/config.db";
  const faults = {
    DB_CORRUPT: `dd if=/dev/zero of=${file} bs=4096 seek=3 count=3 conv=notrunc status=none`,
    DB_NOT_PMXCFS: `truncate -s 0 ${file}; rm -f ${file}-wal`,
  } as const;
  for (const [code, fault] of Object.entries(faults)) {
    const look = `${TREE} | grep -c ^file-; ls /var/lib/pve-cluster`;
    const attempt = { code: code as CodeName, only: DATABASE, roots: ["/root"], look };
    const tried = await follow(runningWith(fault), attempt);
    expectFixed(tried, code);
    const finding = tried.first.findings.find((each) => each.code === code);
    expect(finding?.advice).toMatch(/^pmxcfs runs and has the whole tree in memory: do not /);
    expect(tried.looked).toMatch(/^60\n(.*\n)*broken-\S+\n(.*\n)*rescued-\S+\n$/);
    expect(tried.output).toMatch(/exit 0\n$/);
  }
});

test("the advice for a config.db that was removed keeps what is served", async () => {
  const removed = `rm /var/lib/pve-cluster/config.db
    await sh -c "ls /var/lib/pve-cluster | grep -q '\\.replaced-'"`;
  const attempt = { code: "DB_REPLACED", only: DATABASE, roots: ["/root"] } as const;
  const commands = [
    "cp -a /etc/pve /root/pve-kept",
    "systemctl stop pve-cluster",
    "pmxcfs-ipc config import --force --db /var/lib/pve-cluster/config.db /root/pve-kept",
  ];
  const look = `{ ${commands.join(" && ")}; } > /dev/null 2>&1; ${TREE} | grep -c ^file-`;
  const { first, looked } = await follow(runningWith(removed), { ...attempt, look });
  const finding = first.findings.find(({ code }) => code === "DB_REPLACED");
  for (const command of commands) expect(finding?.advice).toContain(`\`${command}\``);
  expect(looked).toBe("60\n");
});
