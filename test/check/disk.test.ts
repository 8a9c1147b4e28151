/** The file system of config.db: read-only, full, nearly full, and without inodes. */
import { expect, test } from "bun:test";
import { found } from "../../src/tools/check/finding.ts";
import { needRoot } from "../support/identity.ts";
import { codesOf, expectFound, reported, sandbox, shell, type Told, told } from "./support/run.ts";

needRoot();

const CHECK_DISK = "$CHECK --only DB_READ_ONLY,DB_DISK_LOW,DB_INODES_LOW --json";

/** A /var/lib of its own with a database, after `change`. */
function withDisk(change: string, options = "size=200m"): string {
  return `mount -t tmpfs -o ${options} tmpfs /var/lib; mkdir /var/lib/pve-cluster
    cd /var/lib/pve-cluster; : > config.db; chmod 0600 config.db; cd /
    ${change}
    ${CHECK_DISK} || true`;
}

/** Shell lines that use up all inodes but `left` of /var/lib. */
function inodesLeft(left: number): string {
  return `free=$(stat -f -c %d /var/lib); mkdir /var/lib/spool
    for i in $(seq $((free - 1 - ${left}))); do : > /var/lib/spool/$i; done`;
}

test("DB_READ_ONLY: the kernel has made the file system read-only", async () => {
  const report = await told(withDisk("mount -o remount,ro /var/lib"));
  expectFound(report, "DB_READ_ONLY", {
    line: /config\.db lies on a file system that is read-only: \/var\/lib \(tmpfs\)$/,
    fix: /^Look at `dmesg .* First copy config\.db and the files beside it \(`ls -l \S+\*`\) to /,
    exit: 2,
  });
  const gone = "rm /var/lib/pve-cluster/config.db; mount -o remount,ro /var/lib";
  expect(codesOf(await told(withDisk(gone)))).toEqual(["DB_READ_ONLY"]);
});

test("DB_READ_ONLY is found behind a link, and not where another mount is in between", async () => {
  const link = `mount -t tmpfs tmpfs /mnt; mv /var/lib/pve-cluster /mnt/x
    ln -s /mnt/x /var/lib/pve-cluster`;
  const behind = await told(withDisk(`${link}; mount -o remount,ro /mnt`));
  expectFound(behind, "DB_READ_ONLY", {
    line: /read-only: \/mnt \(tmpfs\)$/,
    fix: /dmesg/,
    exit: 2,
  });
  expect(codesOf(await told(withDisk(`${link}; mount -o remount,ro /var/lib`)))).toEqual([]);
  const above = `mount -t tmpfs tmpfs /var/lib/pve-cluster; mount -o remount,ro /var/lib`;
  expect(codesOf(await told(withDisk(above)))).toEqual([]);
});

test("a mount that is read-only only in the namespace of the check is no finding", async () => {
  const bound = "mount --bind /var/lib /var/lib; mount -o bind,remount,ro /var/lib";
  expect(codesOf(await told(withDisk(bound)))).toEqual([]);
});

test("a full disk is why pmxcfs does not run, a nearly full one is not", async () => {
  const full = await told(withDisk("head -c 1m /dev/zero > /var/lib/x || true", "size=600k"));
  expect(full.findings.map(({ code, severity }) => [code, severity])).toEqual([
    ["DB_DISK_LOW", "fail"],
  ]);
  const values = { path: "/var/lib/pve-cluster/config.db", free: 0, limit: 100 };
  const others = [
    found("SOCKET_ABSENT", { service: "pve2" }),
    found("UNIT_FAILED", { unit: "pve-cluster.service", result: "exit-code" }),
    found("LOG_ERROR", { unit: "pve-cluster.service", message: "x", meaning: "y" }),
  ];
  const failed = reported([...others, found("DB_DISK_LOW", values, { severity: "fail" })]);
  expect(failed.verdict.code).toBe("DB_DISK_LOW");
  expect(failed.findings.flatMap(({ fix }) => fix ?? []).length).toBe(1);
  const warned = reported([...others, found("DB_DISK_LOW", values)]);
  expect(warned.verdict.code).toBe("LOG_ERROR");
});

/** Executes the last command of the advice of DB_READ_ONLY on this state. */
async function remounted(make: string): Promise<{ first: Told; second: Told; log: string }> {
  const { out, error } = await sandbox(`mount -t tmpfs tmpfs /var/lib; mkdir /var/lib/pve-cluster
    echo whole > /var/lib/pve-cluster/config.db; chmod 0600 /var/lib/pve-cluster/config.db
    echo log > /var/lib/pve-cluster/config.db-wal
    mkdir /dev/shm/bin
    printf '#!/bin/sh\\necho "$*" >> /dev/shm/systemctl.log\\n' > /dev/shm/bin/systemctl
    chmod +x /dev/shm/bin/systemctl
    ${make}
    ${CHECK_DISK} > /dev/shm/first || true
    ${shell([process.execPath, "-e", LAST_COMMAND, "/dev/shm/first"])} > /dev/shm/fix
    PATH=/dev/shm/bin:$PATH sh /dev/shm/fix
    ${CHECK_DISK} > /dev/shm/second || true
    : > /var/lib/pve-cluster/written
    cat /var/lib/pve-cluster/config.db /var/lib/pve-cluster/config.db-wal >> /dev/shm/systemctl.log
    ${shell([process.execPath, "-e", AS_JSON])}`);
  try {
    return JSON.parse(out) as { first: Told; second: Told; log: string };
  } catch (cause) {
    throw new Error(`no result:\n${out}\n${error}`, { cause });
  }
}

/** Prints the last command in backticks of the only advice in a report. */
const LAST_COMMAND = `const report = await Bun.file(process.argv[1]).json();
  const advice = report.findings.map((each) => each.advice).join("");
  console.log(advice.split("\`").at(-2));`;

const AS_JSON = `const shm = "/dev/shm/";
  const [first, second] = await Promise.all(
    ["first", "second"].map((name) => Bun.file(shm + name).json()),
  );
  const log = await Bun.file(shm + "systemctl.log").text();
  console.log(JSON.stringify({ first, second, log }));`;

test("the command of DB_READ_ONLY makes the file system writable and changes no file", async () => {
  // The kernel makes the file system read-only, not the mount: what a second mount of it shows.
  const byKernel = "mount --bind /var/lib /mnt; mount -o remount,ro /mnt";
  const states = [
    ["mount -o remount,ro /var/lib", /^mount -o remount,rw \/var\/lib && /],
    [byKernel, /^mount -o remount,rw \/var\/lib && /],
    [
      // At a path with a space.
      `mkdir '/var/lib/my disk'; mount -t tmpfs tmpfs /mnt; mv /var/lib/pve-cluster/config.db* /mnt
       mount --bind /mnt '/var/lib/my disk'; rmdir /var/lib/pve-cluster
       ln -s 'my disk' /var/lib/pve-cluster; mount -o remount,ro /mnt`,
      /^mount -o remount,rw '\/var\/lib\/my disk' && /,
    ],
  ] as const;
  for (const [make, command] of states) {
    const { first, second, log } = await remounted(make);
    expect(codesOf(first)).toEqual(["DB_READ_ONLY"]);
    const finding = first.findings.find(({ code }) => code === "DB_READ_ONLY");
    expect(finding?.advice?.split("`").at(-2)).toMatch(command);
    expect(codesOf(second)).toEqual([]);
    expect(log).toBe("restart pve-cluster\nwhole\nlog\n");
  }
});

test("DB_INODES_LOW: bytes are free and inodes are not", async () => {
  const low = await told(withDisk(inodesLeft(40), "size=200m,nr_inodes=300"));
  expectFound(low, "DB_INODES_LOW", {
    line: /config\.db lies on a file system with 40 of 300 inodes free \(limit 100\)$/,
    fix: /^The directories with the most files: `du -x --inodes \/var\/lib \| sort -n \| tail /,
    exit: 1,
  });
  const none = await told(withDisk(inodesLeft(0), "size=200m,nr_inodes=300"));
  expect(none.findings.map(({ code, severity }) => [code, severity])).toEqual([
    ["DB_INODES_LOW", "fail"],
  ]);
  // A tmpfs without a bound.
  expect(codesOf(await told(withDisk("true", "size=200m,nr_inodes=0")))).toEqual([]);
});

test("the command of DB_INODES_LOW shows the directory that has the files", async () => {
  const { out } = await sandbox(`mount -t tmpfs -o size=200m,nr_inodes=300 tmpfs /var/lib
    mkdir /var/lib/pve-cluster; ${inodesLeft(40)}
    du -x --inodes /var/lib | sort -n | tail -n 20`);
  expect(out.trim().split("\n").at(-2)).toMatch(/^\d+\t\/var\/lib\/spool$/);
});

test("without inodes pmxcfs does not start, and that is why; few of them are a warning", () => {
  const values = { path: "/var/lib/pve-cluster/config.db", free: 0, total: 300, limit: 100 };
  const failed = found("UNIT_FAILED", { unit: "pve-cluster.service", result: "exit-code" });
  const none = reported([failed, found("DB_INODES_LOW", values, { severity: "fail" })]);
  expect(none.verdict.code).toBe("DB_INODES_LOW");
  expect(reported([failed, found("DB_INODES_LOW", values)]).verdict.code).toBe("UNIT_FAILED");
});

test("behind a symlink the room of the file itself counts, not that of the link", async () => {
  const moved = `mount -t tmpfs -o size=300m tmpfs /mnt
    mv /var/lib/pve-cluster/config.db /mnt; ln -s /mnt/config.db /var/lib/pve-cluster`;
  expect(codesOf(await told(withDisk(moved, "size=3m")))).toEqual([]);
  const small = await told(withDisk(moved.replace("size=300m", "size=3m")));
  expect(codesOf(small)).toEqual(["DB_DISK_LOW"]);
  const command = small.findings.find(({ code }) => code === "DB_DISK_LOW")?.fix;
  expect(command).toContain("df --output=avail -BM /mnt |");
  // The lock is beside the link.
  const lock = await told(withDisk(`${moved}; mount -o remount,ro /var/lib`));
  expectFound(lock, "DB_READ_ONLY", {
    line: /\.pmxcfs\.lockfile lies on a file system that is read-only: \/var\/lib \(tmpfs\)$/,
    fix: /dmesg/,
    exit: 2,
  });
});
