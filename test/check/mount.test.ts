/** /etc/pve: real FUSE mounts that are dead or hang, and directories in their place. */
import { needRoot } from "../support/identity.ts";
import { native } from "../support/native.ts";
import { codesOf, expectFound, nodeCommand, shell, type Told, told } from "./support/run.ts";
import { expect, test } from "bun:test";

needRoot();

const MOUNT = "$BARE --only mount --deadline 1500ms --json || true";

/** Mounts FUSE on /etc/pve: it hangs while descriptor 9 is open, and is dead afterwards. */
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
    fix: /^umount -l \/etc\/pve && systemctl restart pve-cluster$/,
    exit: 2,
  });
});

test("PVE_HUNG: the FUSE server does not answer; the run ends nevertheless", async () => {
  const report = await told(`${FUSE} ${MOUNT}`);
  expectFound(report, "PVE_HUNG", {
    line: /^\/etc\/pve is mounted but did not answer within 1500 ms$/,
    fix: /^`pmxcfs-ipc call get-fs-version` ends the hang/,
    exit: 2,
  });
});

test("PVE_NOT_EMPTY: files where the mount should be", async () => {
  const report = await told(`own_etc; touch /etc/pve/storage.cfg /etc/pve/user.cfg
    ${MOUNT}`);
  expectFound(report, "PVE_NOT_EMPTY", {
    line: /^\/etc\/pve is not mounted and not empty: storage\.cfg, user\.cfg$/,
    fix: /^mv -nT \/etc\/pve \/etc\/pve\.stray-\$\(date .*\) && mkdir -m 0755 \/etc\/pve && /,
    exit: 2,
  });
});

test("PVE_NOT_MOUNTED: pmxcfs runs, its mount is gone", async () => {
  const report = await told(`own_etc; ${PMXCFS}
    $CHECK --socket svc --only mount --json || true`);
  expectFound(report, "PVE_NOT_MOUNTED", {
    line: /^\/etc\/pve is not mounted although pmxcfs \(pid \d+\) runs$/,
    fix: /^If no fix is printed, the server was not/,
    exit: 2,
  });
});

test("PVE_READ_ONLY: no write bits, as without quorum", async () => {
  const server = shell([native("fuse-node"), "/etc/pve", "0555"]);
  const report = await told(`own_etc; ${server} & await test -e /etc/pve/local
    ${MOUNT}`);
  expectFound(report, "PVE_READ_ONLY", {
    line: /^\/etc\/pve\/local has mode 555: nothing can be written$/,
    fix: /^Look at `pvecm status` and `corosync-cfgtool -s`\.$/,
    exit: 2,
  });
});

/** A FUSE file system on /etc/pve that answers, and a server that listens. */
const LIVE = `own_etc
${shell([native("fuse-node"), "/etc/pve", "0755"])} & await test -e /etc/pve/local
${shell(nodeCommand("svc"))} > /dev/null & await listening svc
`;

test("a mounted, writable /etc/pve passes", async () => {
  const report = await told(`${LIVE} $CHECK --socket svc --only mount --json || true`);
  expect(report.findings.map(({ text }) => text)).toEqual([
    "/etc/pve is mounted (fuse), answers and is writable",
  ]);
  expect(report.exit_code).toBe(0);
});

test("PVE_WITHOUT_SERVER: mounted, and nothing listens", async () => {
  const report = await told(`${LIVE} $CHECK --socket other --only mount --json || true`);
  expectFound(report, "PVE_WITHOUT_SERVER", {
    line: /^\/etc\/pve is mounted and answers, but nothing listens on @other$/,
    fix: /^systemctl restart pve-cluster$/,
    exit: 2,
  });
});

test("PVE_NAMESPACE_READ_ONLY: a read-only bind mount in this namespace only", async () => {
  const report = await told(`${LIVE} unshare -m sh -c "
    mount --bind /etc/pve /etc/pve; mount -o remount,bind,ro /etc/pve
    $CHECK --socket svc --only mount --json || true"`);
  expectFound(report, "PVE_NAMESPACE_READ_ONLY", {
    line: /^\/etc\/pve is mounted read-only in the mount namespace .* \(mnt:\[\d+\]\)$/,
    fix: /ReadWritePaths=\/etc\/pve/,
    exit: 1,
  });
  expect(codesOf(report)).toEqual(["PVE_NAMESPACE_READ_ONLY"]);
});

test("PVE_REMOUNTED_READ_ONLY: a mount that is read-only for all processes", async () => {
  const report = await told(`${LIVE} mount -i -o remount,ro pmxcfs /etc/pve
    $CHECK --socket svc --only mount --json || true`);
  expectFound(report, "PVE_REMOUNTED_READ_ONLY", {
    line: /^\/etc\/pve is mounted read-only, for all processes: every write gives EROFS$/,
    fix: /^mount -i -o remount,rw pmxcfs \/etc\/pve$/,
    exit: 2,
  });
  expect(codesOf(report)).toEqual(["PVE_REMOUNTED_READ_ONLY"]);
});

test("PVE_MOUNTED_TWICE: two file systems on top of each other", async () => {
  const second = shell([native("fuse-node"), "/etc/pve", "0755"]);
  const report =
    await told(`${LIVE} ${second} & await sh -c "[ \\$(grep -c /etc/pve /proc/mounts) = 2 ]"
    $CHECK --socket svc --only mount --json || true`);
  expectFound(report, "PVE_MOUNTED_TWICE", {
    line: /^\/etc\/pve has 2 mounts on top of each other: fuse \(.*\), fuse \(.*\)$/,
    fix: /^`findmnt \/etc\/pve` lists them\./,
    exit: 1,
  });
});

test("PVE_SLOW: the mount answers slowly", async () => {
  const slow = shell([native("fuse-node"), "/etc/pve", "0755", "1100"]);
  const report = await told(`own_etc; ${slow} & await test -e /etc/pve/local
    ${shell(nodeCommand("svc"))} > /dev/null & await listening svc
    $CHECK --socket svc --only mount --json || true`);
  expectFound(report, "PVE_SLOW", {
    line: /^\/etc\/pve took \d+ ms for one stat \(limit 1000 ms\)$/,
    fix: /^Look at `pmxcfs-ipc --check --only rrd,stuck,database`/,
    exit: 1,
  });
});

test("a dead mount lists the processes inside it", async () => {
  const report = await told(`own_etc
    ${shell([native("fuse-node"), "/etc/pve", "0755"])} & server=$!
    await test -e /etc/pve/local
    (cd /etc/pve && exec sleep 60) & await sh -c "readlink /proc/$!/cwd | grep -q /etc/pve"
    kill -9 $server; await sh -c "! stat -f /etc/pve"
    ${MOUNT}`);
  expectFound(report, "PVE_DEAD_MOUNT", {
    line: /: Transport endpoint is not connected; inside: \d+ \(sleep\)$/,
    fix: /^umount -l/,
    exit: 2,
  });
});

test("PVE_OLD_MOUNT_HELD: a service that still has the mount of a dead server", async () => {
  const report = await told(`own_etc
    ${shell([native("fuse-node"), "/etc/pve", "0755"])} & server=$!
    await test -e /etc/pve/local
    unshare -m sleep 60 & holder=$!
    await sh -c "[ \\$(readlink /proc/self/ns/mnt) != \\$(readlink /proc/$holder/ns/mnt) ]"
    await sh -c "readlink /proc/$holder/exe | grep -q sleep"
    kill -9 $server; await sh -c "! stat -f /etc/pve"
    umount -l /etc/pve
    ${MOUNT}`);
  expectFound(report, "PVE_OLD_MOUNT_HELD", {
    line: /^1 process sees an old \/etc\/pve whose server is gone: \d+ \(sleep\)$/,
    fix: /^Restart these services or containers; `cat \/proc\/\d+\/cgroup` names the unit\.$/,
    exit: 1,
  });
});

test("FUSE_MISSING: a container without the device", async () => {
  const report = await told(`own_etc; ${PMXCFS}
    mount -t tmpfs tmpfs /mnt; cp -a /dev/null /dev/urandom /mnt
    mkdir /mnt/shm; mount --bind /dev/shm /mnt/shm; mount --rbind /mnt /dev
    $CHECK --socket svc --only mount --skip PVE_NOT_MOUNTED --json || true`);
  expectFound(report, "FUSE_MISSING", {
    line: /^\/dev\/fuse is not there$/,
    fix: /^modprobe fuse; \[ -e \/dev\/fuse \] \|\| mknod /,
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

/** What is found of a server of ours that has these words in its command line, and no mount. */
async function startedWith(...words: readonly string[]): Promise<Told> {
  return await told(`own_etc
    mkdir /dev/shm/bin; ln -s ${process.execPath} /dev/shm/bin/pmxcfs-ipc
    ${shell(["/dev/shm/bin/pmxcfs-ipc", ...nodeCommand("svc").slice(1), ...words])} > /dev/null &
    await listening svc
    $CHECK --socket svc --only mount --json || true`);
}

test("PVE_NOT_MOUNTED: our server was started with --mount, and its mount is gone", async () => {
  for (const words of [["--mount"], ["--mount", "/etc/pve"], ["--mount=/etc/pve"]]) {
    expect(codesOf(await startedWith(...words))).toEqual(["PVE_NOT_MOUNTED"]);
  }
  expect(codesOf(await startedWith("--mount", "/srv/pve"))).toEqual([]);
});
