/** /etc/pve: real FUSE mounts that are dead or hang, and directories in the way. */
import { expect, test } from "bun:test";
import { needRoot } from "../support/identity.ts";
import { native } from "../support/native.ts";
import { codesOf, expectFound, nodeCommand, shell, told } from "./support/run.ts";

needRoot();

const MOUNT = "$BARE --only mount --deadline 600ms --json || true";

/** Mounts FUSE on /etc/pve; nobody answers it while descriptor 9 is open, and then it is dead. */
const FUSE = `own_etc
exec 9<> /dev/fuse
mount -i -t fuse -o fd=9,rootmode=40000,user_id=0,group_id=0,allow_other pmxcfs /etc/pve 9<&9
`;

/** A C server on libqb that calls itself pmxcfs. */
const PMXCFS = `cp ${shell([native("qb-faulty-server")])} /dev/shm/pmxcfs
/dev/shm/pmxcfs svc > /dev/null & await listening svc
`;

test("PVE_DEAD_MOUNT: the FUSE server is gone", async () => {
  const report = await told(`${FUSE} exec 9>&-
    ${MOUNT}`);
  expectFound(report, "PVE_DEAD_MOUNT", {
    line: /^\/etc\/pve is a FUSE mount whose server is gone: Transport endpoint is not connected$/,
    fix: /^umount -l \/etc\/pve; systemctl restart pve-cluster$/,
    exit: 2,
  });
});

test("PVE_HUNG: the FUSE server does not answer, and the run ends all the same", async () => {
  const started = performance.now();
  const report = await told(`${FUSE} ${MOUNT}`);
  expectFound(report, "PVE_HUNG", {
    line: /^\/etc\/pve is mounted but did not answer within 600 ms$/,
    fix: /^pmxcfs-ipc call get-fs-version; systemctl restart pve-cluster$/,
    exit: 2,
  });
  expect(performance.now() - started).toBeLessThan(10_000);
});

test("PVE_NOT_EMPTY: files where the mount should be", async () => {
  const report = await told(`own_etc; touch /etc/pve/storage.cfg /etc/pve/user.cfg
    ${MOUNT}`);
  expectFound(report, "PVE_NOT_EMPTY", {
    line: /^\/etc\/pve is not mounted and not empty: storage\.cfg, user\.cfg$/,
    fix: /^mv \/etc\/pve \/etc\/pve\.stray && mkdir \/etc\/pve && systemctl restart pve-cluster$/,
    exit: 2,
  });
});

test("PVE_NOT_MOUNTED: pmxcfs runs, its mount is gone", async () => {
  const report = await told(`own_etc; ${PMXCFS}
    $CHECK --socket svc --only mount --json || true`);
  expectFound(report, "PVE_NOT_MOUNTED", {
    line: /^\/etc\/pve is not mounted although pmxcfs \(pid \d+\) runs$/,
    fix: /^systemctl restart pve-cluster$/,
    exit: 2,
  });
});

test("PVE_READ_ONLY: no write bits, as without quorum", async () => {
  const server = shell([native("fuse-node"), "/etc/pve", "0555"]);
  const report = await told(`own_etc; ${server} & await test -e /etc/pve/local
    ${MOUNT}`);
  expectFound(report, "PVE_READ_ONLY", {
    line: /^\/etc\/pve\/local has mode 555: nothing can be written$/,
    fix: /^pvecm status; corosync-cfgtool -s$/,
    exit: 2,
  });
});

test("a mounted, writable /etc/pve passes", async () => {
  const server = shell([native("fuse-node"), "/etc/pve", "0755"]);
  const report = await told(`own_etc; ${server} & await test -e /etc/pve/local
    ${MOUNT}`);
  expect(report.findings.map(({ text }) => text)).toEqual([
    "/etc/pve is mounted (fuse), answers and is writable",
  ]);
  expect(report.exit_code).toBe(0);
});

test("FUSE_MISSING: a container without the device", async () => {
  const report = await told(`own_etc; ${PMXCFS}
    mount -t tmpfs tmpfs /mnt; cp -a /dev/null /dev/urandom /mnt
    mkdir /mnt/shm; mount --bind /dev/shm /mnt/shm; mount --rbind /mnt /dev
    $CHECK --socket svc --only mount --skip PVE_NOT_MOUNTED --json || true`);
  expectFound(report, "FUSE_MISSING", {
    line: /^\/dev\/fuse is not there$/,
    fix: /^modprobe fuse$/,
    exit: 1,
  });
});

test("our server needs no mount", async () => {
  const report = await told(`own_etc; touch /etc/pve/storage.cfg
    mkdir /dev/shm/bin; ln -s ${process.execPath} /dev/shm/bin/pmxcfs-ipc
    ${shell(["/dev/shm/bin/pmxcfs-ipc", ...nodeCommand("svc").slice(1)])} > /dev/null &
    await listening svc
    $CHECK --socket svc --only mount --json || true`);
  expect(codesOf(report)).toEqual([]);
  expect(report.findings[0]?.text).toMatch(/^\/etc\/pve is a plain directory/);
});
