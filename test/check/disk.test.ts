/** The file system of config.db: read-only, full, and nearly full. */
import { expect, test } from "bun:test";
import { found } from "../../src/tools/check/finding.ts";
import { needRoot } from "../support/identity.ts";
import { codesOf, expectFound, reported, told } from "./support/run.ts";

needRoot();

/** A /var/lib of its own with a database, after `change`. */
function withDisk(change: string, options = "size=200m"): string {
  return `mount -t tmpfs -o ${options} tmpfs /var/lib; mkdir /var/lib/pve-cluster
    cd /var/lib/pve-cluster; : > config.db; chmod 0600 config.db; cd /
    ${change}
    $CHECK --only DB_READ_ONLY,DB_DISK_LOW --json || true`;
}

test("DB_READ_ONLY: the kernel has made the file system read-only", async () => {
  const report = await told(withDisk("mount -o remount,ro /var/lib"));
  expectFound(report, "DB_READ_ONLY", {
    line: /config\.db lies on a file system that is read-only: \/var\/lib \(tmpfs\)$/,
    fix: /^Look at `dmesg .* First copy config\.db and its -wal to another machine\./,
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
