/** The node's name: real hosts files and host names, in namespaces. */
import { needRoot } from "../support/identity.ts";
import { REPOSITORY } from "../support/native.ts";
import { codesOf, expectFound, nodeCommand, shell, told } from "./support/run.ts";
import { expect, test } from "bun:test";

needRoot();

/** A machine called `name` with this /etc/hosts and no other source of names. */
function named(name: string, hosts: string): string {
  return `own_etc
    hostname ${name}
    ip link add eth7 type bridge; ip address add 192.0.2.7/24 dev eth7; ip link set eth7 up
    printf '${hosts.replaceAll("\n", String.raw`\n`)}' > /etc/hosts
    printf 'hosts: files\\n' > /etc/nsswitch.conf
  `;
}

/** A name server that receives queries and does not answer. */
const SILENT_DNS = `require("node:dgram").createSocket("udp4").bind(53, "127.0.0.1");`;

const NAME = "$CHECK --only name --json || true";

test("NAME_LOOPBACK: Debian's 127.0.1.1, with the line to change", async () => {
  const report = await told(`${named("pve1", "127.0.0.1 localhost\n127.0.1.1 pve1.lan pve1\n")}
    ${NAME}`);
  expectFound(report, "NAME_LOOPBACK", {
    line: /^the node name pve1 resolves only to 127\.0\.1\.1 \(line 2 of \/etc\/hosts\)$/,
    fix: /^sed --in-place=\.bak-\S+ \S+ '2s\/127\\\.0\\\.1\\\.1\/192\.0\.2\.7\/' \/etc\/hosts && /,
    exit: 2,
  });
});

test("NAME_LOOPBACK is a warning while the server runs: the next start fails", async () => {
  const report = await told(`${named("pve1", "127.0.1.1 pve1\n")}
    ${shell(nodeCommand("svc"))} > /dev/null & await listening svc
    $CHECK --socket svc --only name --json || true`);
  expectFound(report, "NAME_LOOPBACK", { line: /pve1/, fix: /hosts/, exit: 1 });
});

test("NAME_LOOPBACK: a line that also names localhost is kept", async () => {
  const report = await told(`${named("pve1", "127.0.0.1 localhost pve1\n")} ${NAME}`);
  expectFound(report, "NAME_LOOPBACK", {
    line: /resolves only to 127\.0\.0\.1 \(line 1 of \/etc\/hosts\)$/,
    fix: /^printf .* 192\.0\.2\.7 pve1 >> \/etc\/hosts && systemctl restart pve-cluster$/,
    exit: 2,
  });
});

test("a loopback line beside a valid one passes, as with pmxcfs", async () => {
  const report = await told(`${named("pve1", "127.0.1.1 pve1\n192.0.2.1 pve1\n")} ${NAME}`);
  expect(codesOf(report)).toEqual([]);
  expect(report.findings[0]?.text).toBe("pve1 resolves to 192.0.2.1");
});

test("HOSTNAME_LOST: localhost is no name of a node, and gets no other address", async () => {
  const report = await told(`${named("localhost", "127.0.0.1 localhost\n")}
    mkdir -p /etc/pve/nodes/pve1
    ${NAME}`);
  expectFound(report, "HOSTNAME_LOST", {
    line: /^this machine is called "localhost", which is not the name of a node$/,
    fix: /^`pmxcfs-ipc config ls nodes` lists .* Set this node's: `hostnamectl hostname NAME`/,
    exit: 2,
  });
  expect(report.verdict.code).toBe("HOSTNAME_LOST");
  expect(report.findings.flatMap(({ fix }) => fix ?? [])).toEqual([]);
});

test("in a chroot the name is that of the rescue system, and is not judged", async () => {
  const report = await told(`hostname rescue; cd /dev/shm; mkdir upper work root
    mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
    mkdir -p root${REPOSITORY}; mount --bind ${REPOSITORY} root${REPOSITORY}
    for place in /dev /proc; do mount --bind $place root$place; done
    mkdir -p root/etc/pve/nodes/pve1
    chroot root $CHECK --only name --json || true`);
  expect(codesOf(report)).toEqual([]);
  expect(report.findings[0]?.text).toBe(
    "this is a chroot: rescue is the name of the system around it",
  );
});

test("NAME_UNRESOLVED: no address at all", async () => {
  const report = await told(`${named("nowhere-to-be-found", "127.0.0.1 localhost\n")} ${NAME}`);
  expectFound(report, "NAME_UNRESOLVED", {
    line: /^the node name nowhere-to-be-found does not resolve to any address$/,
    fix: /^printf .* 192\.0\.2\.7 nowhere-to-be-found >> \/etc\/hosts && systemctl/,
    exit: 2,
  });
});

test("NAME_SLOW: a name server that does not answer", async () => {
  const report = await told(`${named("silent-dns", "127.0.0.1 localhost\n")}
    ip link set lo up
    printf 'nameserver 127.0.0.1\\noptions timeout:20 attempts:3\\n' > /etc/resolv.conf
    printf 'hosts: dns\\n' > /etc/nsswitch.conf
    ${shell([process.execPath, "-e", SILENT_DNS])} & await grep -q ':0035 ' /proc/net/udp
    $BARE --only name --deadline 4s --json || true`);
  expectFound(report, "NAME_SLOW", {
    line: /^looking up the node name silent-dns took longer than \d{3,4} ms$/,
    fix: /^printf .* 192\.0\.2\.7 silent-dns >> \/etc\/hosts && systemctl/,
    exit: 1,
  });
});

test("NODENAME_DIFFERS: the host was renamed while the server ran", async () => {
  const report = await told(`hostname newname
    ${shell(nodeCommand("svc", { node: "oldname" }))} > /dev/null & await listening svc
    $CHECK --socket svc --only cluster --json || true`);
  expectFound(report, "NODENAME_DIFFERS", {
    line: /^the server is node oldname, this machine is called newname$/,
    fix: /^To go back: `hostnamectl hostname oldname`\./,
    exit: 2,
  });
});

test("NODE_DIRECTORY_MISSING: /etc/pve has other nodes only", async () => {
  const report = await told(`${named("newname", "192.0.2.1 newname\n")}
    mkdir -p /etc/pve/nodes/oldname /etc/pve/nodes/other
    ${NAME}`);
  expectFound(report, "NODE_DIRECTORY_MISSING", {
    line: /^nodes\/newname does not exist; there are: oldname, other$/,
    fix: /^To go back: `hostnamectl hostname OLD-NAME`, .* rename-node .* OLD-NAME newname` moves /,
    exit: 1,
  });
});
