/** Callers and their namespaces, with real ids and real user, network and pid namespaces. */
import { needRoot } from "../support/identity.ts";
import { native } from "../support/native.ts";
import { codesOf, expectFound, nodeCommand, shell, told } from "./support/run.ts";
import { expect, test } from "bun:test";

needRoot();

/** A C server that refuses as pmxcfs does: its accept callback returns 1. */
const REFUSING = `${shell([native("qb-faulty-server"), "svc", "--refuse", "1"])} > /dev/null &
await listening svc
`;

/** Our server, which decides by uid and group itself. */
const OURS = `${shell(nodeCommand("svc"))} > /dev/null &
await listening svc
`;

const PERMISSIONS = "$CHECK --socket svc --only permissions --json || true";

const AS_USER = "setpriv --reuid 1000 --regid 1000 --clear-groups";

test("ACCESS_REFUSED_UID: an ordinary user, by a C server", async () => {
  const report = await told(`${REFUSING} ${AS_USER} $CHECK --socket svc --json || true`);
  expectFound(report, "ACCESS_REFUSED_UID", {
    line: /^refused: uid 1000 with gid 1000 is neither root nor of group www-data$/,
    fix: /^Run the program as root \(sudo\)\./,
    exit: 2,
  });
  expect(report.verdict.code).toBe("ACCESS_REFUSED_UID");
});

test("ACCESS_REFUSED_UID: an ordinary user, by our server", async () => {
  const report = await told(`${OURS} ${AS_USER} $CHECK --socket svc --json || true`);
  expect(report.verdict.code).toBe("ACCESS_REFUSED_UID");
});

test("ACCESS_REFUSED_GID: root with another group", async () => {
  const report = await told(
    `${REFUSING} setpriv --regid 990 --clear-groups $CHECK --socket svc --json || true`,
  );
  expectFound(report, "ACCESS_REFUSED_GID", {
    line: /^refused: uid 0 is right, but gid 990 \(no name\) is neither 0 nor www-data \(33\)$/,
    fix: /^Run the program with gid 0: `setpriv --regid 0 --clear-groups`/,
    exit: 2,
  });
});

test("ACCESS_REFUSED_GID is only a notice without a listener", async () => {
  const report = await told(
    "setpriv --regid 990 --clear-groups $CHECK --only identity,handshake --json || true",
  );
  expect(codesOf(report)).toEqual(["ACCESS_REFUSED_GID"]);
  expect(report.exit_code).toBe(0);
});

test("ROOT_GID_UNUSUAL: our server accepts root with another group", async () => {
  const report = await told(
    `${OURS} setpriv --regid 990 --clear-groups \\
      $CHECK --socket svc --only handshake --json || true`,
  );
  expectFound(report, "ROOT_GID_UNUSUAL", { line: /gid 990/, fix: /Group=root/, exit: 0 });
});

test("www-data is read-only, which is not a finding", async () => {
  const report = await told(`${OURS} setpriv --reuid 33 --regid 33 --clear-groups ${PERMISSIONS}`);
  expect(report.findings.map(({ text }) => text)).toEqual(["uid 33, gid 33 is read-only"]);
  expect(report.exit_code).toBe(0);
});

test("CREDENTIALS_DIFFER: real and effective uid differ", async () => {
  const report = await told(
    "setpriv --ruid 1000 --clear-groups $CHECK --only identity --json || true",
  );
  expectFound(report, "CREDENTIALS_DIFFER", {
    line: /^real and effective ids differ: uid 1000\/0, gid 0\/0$/,
    fix: /`setpriv --reuid 0 --regid 0 --clear-groups`/,
    exit: 0,
  });
});

test("NETNS_DIFFERS: the server listens in another network namespace", async () => {
  const report = await told(
    `${OURS} unshare -n $CHECK --socket svc --only identity --json || true`,
  );
  expectFound(report, "NETNS_DIFFERS", {
    line: /^this process is in network namespace net:\[\d+\], pid 1 is in net:\[\d+\]$/,
    fix: /^nsenter --target 1 --net pmxcfs-ipc --check --socket svc$/,
    exit: 2,
  });
  expect(report.verdict.code).toBe("NETNS_DIFFERS");
});

test("USER_NAMESPACE: root inside is another uid outside", async () => {
  const report = await told(`${AS_USER} unshare -U -r $CHECK --only identity --json || true`);
  expectFound(report, "USER_NAMESPACE", {
    line: /^uid 0, gid 0 of this user namespace are uid 1000, gid 1000 outside$/,
    fix: /^Run the program as root of the host/,
    exit: 0,
  });
});

test("a user namespace explains why our server and a C server refuse this caller", async () => {
  const within = "setpriv --reuid 65534 --regid 65534 --clear-groups unshare -Ur";
  for (const server of [OURS, REFUSING]) {
    const report = await told(
      `${server} ${within} $CHECK --socket svc --only identity,handshake --json || true`,
    );
    expectFound(report, "ACCESS_REFUSED_UID", {
      line: /^refused: uid 65534 with gid 65534 is neither root nor of group www-data$/,
      fix: /^follows from USER_NAMESPACE$/,
      exit: 2,
    });
    expectFound(report, "USER_NAMESPACE", {
      line: /uid 0, gid 0 of this user namespace are uid 65534, gid 65534 outside$/,
      fix: /root of the host/,
      exit: 2,
    });
    expect(report.verdict.code).toBe("USER_NAMESPACE");
    expect(report.findings.find(({ code }) => code === "USER_NAMESPACE")?.cause).toMatch(
      /ids in its own user namespace/,
    );
  }
});

test("a server in the caller's own user namespace sees the ids that the caller has", async () => {
  const within = "setpriv --reuid 65534 --regid 65534 --clear-groups unshare -Ur sh -c";
  const report = await told(`cp ${native("qb-faulty-server")} /dev/shm/server
    ${within} "/dev/shm/server svc --refuse 1 > /dev/null &
    until grep -q ' 00010000 .* @svc' /proc/net/unix; do sleep 0.02; done
    $CHECK --socket svc --only identity,handshake --json || true"`);
  expect(codesOf(report)).toEqual(["ACCESS_REFUSED_RULE"]);
  expect(report.verdict.text).toMatch(/^refused: uid 0, gid 0, which pmxcfs's usual rule accepts$/);
});

test("an ordinary user of a container is not sent to the host of its own server", async () => {
  // The server is root of a user namespace that has many ids, as in a container without privileges.
  const report = await told(`cp ${native("qb-faulty-server")} /dev/shm/pmxcfs
    unshare -U sleep 60 & holder=$!
    await sh -c "[ $(readlink /proc/self/ns/user) != \\$(readlink /proc/$holder/ns/user) ]"
    echo "0 100000 65536" > /proc/$holder/uid_map; echo "0 100000 65536" > /proc/$holder/gid_map
    nsenter -U -t $holder -S 0 -G 0 /dev/shm/pmxcfs svc --refuse 1 > /dev/null &
    await listening svc
    nsenter -U -t $holder -S 1000 -G 1000 \\
      $CHECK --socket svc --only identity,handshake --json || true`);
  expectFound(report, "ACCESS_REFUSED_UID", {
    line: /^refused: uid 1000 with gid 1000 is neither root nor of group www-data$/,
    fix: /^Run the program as root \(sudo\)\./,
    exit: 2,
  });
  expect(codesOf(report)).toEqual(["ACCESS_REFUSED_UID"]);
});

test("IN_CONTAINER: the environment of pid 1 shows a container", async () => {
  const report = await told(
    `exec env container=lxc unshare -p -f --mount-proc \\
      sh -c "$CHECK --only identity --json || true"`,
  );
  expectFound(report, "IN_CONTAINER", { line: /container=lxc/, fix: /on the host/, exit: 0 });
});

test("GROUP_MISSING: no group www-data", async () => {
  const report = await told(
    "mount --bind /dev/null /etc/group; $CHECK --only identity --json || true",
  );
  expectFound(report, "GROUP_MISSING", {
    line: /^there is no group www-data$/,
    fix: /^\{ groupadd --system --gid 33 www-data \|\| .* && systemctl restart pve-cluster$/,
    exit: 2,
  });
});

test("root's check also sends requests as www-data, as the web interface does", async () => {
  const report = await told(`${OURS} ${PERMISSIONS}`);
  expect(report.findings.map(({ text }) => text)).toEqual([
    "uid 0, gid 0 is read-write",
    "www-data, the user of pveproxy, connects and is read-only",
  ]);
});

test("WWW_DATA_FAILS: root is served, www-data is not", async () => {
  const server = shell(nodeCommand("svc", { rootOnly: true }));
  const report = await told(`${server} > /dev/null & await listening svc; ${PERMISSIONS}`);
  expectFound(report, "WWW_DATA_FAILS", {
    line: /^as www-data, the user of pveproxy: refused: uid 33, gid 33, .*\(ACCESS_REFUSED_RULE\)$/,
    fix: /`setpriv --reuid www-data --regid www-data --clear-groups pmxcfs-ipc --check`\.$/,
    exit: 2,
  });
});

test("WWW_DATA_FAILS: www-data may write", async () => {
  const server = shell(nodeCommand("svc", { open: true }));
  const report = await told(`${server} > /dev/null & await listening svc; ${PERMISSIONS}`);
  expectFound(report, "WWW_DATA_FAILS", { line: /PERMISSIONS_WRONG/, fix: /setpriv/, exit: 2 });
});

test("a group is found without the name service when that hangs", async () => {
  const report = await told(`mkdir /dev/shm/bin
    printf '#!/bin/sh\\nexec sleep 100\\n' > /dev/shm/bin/getent; chmod +x /dev/shm/bin/getent
    export PATH=/dev/shm/bin:$PATH
    $CHECK --only identity --json || true`);
  expect(codesOf(report)).toEqual([]);
});

test("an ordinary user gets the server's pid from its own connection", async () => {
  const server = shell(nodeCommand("svc", { open: true }));
  const report = await told(`${server} > /dev/null & await listening svc
    ${AS_USER} $CHECK --socket svc --only listener --json || true`);
  expect(report.findings[0]?.text).toMatch(/^a process that only root can see listens on @svc$/);
  const connected = await told(`${server} > /dev/null & await listening svc
    ${AS_USER} $CHECK --socket svc --only handshake,listener --json || true`);
  expect(connected.findings[0]?.text).toMatch(/^pid \d+ \(.*\) listens on @svc$/);
});
