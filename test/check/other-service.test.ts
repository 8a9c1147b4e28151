/** Several servers on a node: another service beside the node's own, a tracer, two on one file. */
import { expect, test } from "bun:test";
import { needRoot } from "../support/identity.ts";
import { native } from "../support/native.ts";
import { codesOf, expectFound, nodeCommand, shell, type Told, told } from "./support/run.ts";

needRoot();

const LOCK = "/var/lib/pve-cluster/.pmxcfs.lockfile";

const OWN_STATE = `mount -t tmpfs -o size=300m tmpfs /var/lib; mkdir /var/lib/pve-cluster
`;

/** A C server called pmxcfs, which has pmxcfs's lock and listens on `service`. */
function pmxcfs(service: string): string {
  return `${OWN_STATE} cp ${native("qb-faulty-server")} /dev/shm/pmxcfs
    flock --no-fork ${LOCK} /dev/shm/pmxcfs ${service} > /dev/null & await listening ${service}
  `;
}

/** Another server, of a program that is not called pmxcfs. */
function other(service: string): string {
  return `${shell(nodeCommand(service))} > /dev/null & await listening ${service}
  `;
}

/** A program called pmxcfs that listens nowhere. */
const IDLE = `${OWN_STATE} cp $(command -v sleep) /dev/shm/pmxcfs
  called() { [ $(grep -lx pmxcfs /proc/[0-9]*/comm | wc -l) = $1 ]; }
`;

function fixesOf({ findings }: Told): string[] {
  return findings.flatMap(({ fix }) => fix ?? []);
}

test("another service is examined without a fault of the node's own server", async () => {
  const report = await told(`${pmxcfs("pve2")} ${other("svc")}
    $CHECK --socket svc --only listener,database --json || true`);
  expect(codesOf(report)).toEqual([]);
});

test("a name without a server is no reason to restart the node's own", async () => {
  const report = await told(`own_etc; ${pmxcfs("pve2")}
    ${shell([native("fuse-node"), "/etc/pve", "0755"])} & await test -e /etc/pve/local
    $CHECK --socket typo --only listener,mount,database --json || true`);
  expectFound(report, "SOCKET_ABSENT", {
    line: /^nothing listens on @typo$/,
    fix: /^The node's own server listens on @pve2: .* Start the server of @typo, or correct the /,
    exit: 2,
  });
  expect(codesOf(report)).toEqual(["SOCKET_ABSENT"]);
  expect(fixesOf(report)).toEqual([]);
});

/** A config.db with which no pmxcfs starts. */
const DAMAGED = `head -c 8192 /dev/zero > /var/lib/pve-cluster/config.db
  chmod 0600 /var/lib/pve-cluster/config.db
`;

/** What explains each code of a report. */
function explanations({ findings }: Told): [string, string | null][] {
  return findings.flatMap(({ code, follows_from: root }) => (code === null ? [] : [[code, root]]));
}

test("a damaged config.db is not why nothing listens on a name that no server has", async () => {
  const report = await told(`${pmxcfs("pve2")} ${DAMAGED}
    $CHECK --socket typo --only listener,database --json || true`);
  expect(explanations(report)).toEqual([
    ["SOCKET_ABSENT", null],
    ["DB_CORRUPT", null],
  ]);
  expectFound(report, "SOCKET_ABSENT", {
    line: /^nothing listens on @typo$/,
    fix: /^The node's own server listens on @pve2: .* correct the name\.$/,
    exit: 2,
  });
});

test("with a damaged config.db, the node's own name is explained, another one is not", async () => {
  const stopped = `${OWN_STATE} ${DAMAGED}`;
  const own = await told(`${stopped} $CHECK --only listener,database --json || true`);
  expect(explanations(own)).toEqual([
    ["SOCKET_ABSENT", "DB_CORRUPT"],
    ["DB_CORRUPT", null],
  ]);
  const mistyped = await told(`${stopped}
    $CHECK --socket typo --only listener,database --json || true`);
  expect(explanations(mistyped)).toEqual([
    ["SOCKET_ABSENT", null],
    ["DB_CORRUPT", null],
  ]);
  expectFound(mistyped, "SOCKET_ABSENT", {
    line: /^nothing listens on @typo$/,
    fix: /^Correct the name, or start the server of @typo\. .* does not listen on @pve2 either: /,
    exit: 2,
  });
});

test("a server behind a tracer has another name, and no fix ends it", async () => {
  const report = await told(`${pmxcfs("behind")} ${other("pve2")}
    $CHECK --only listener,database --json || true`);
  expect(codesOf(report)).toEqual(["DB_LOCKED_BY_OTHER"]);
  expect(fixesOf(report)).toEqual([]);
});

test("DB_LOCKED_BY_OTHER: a daemon whose parent took the lock and has ended", async () => {
  // The shell's flock(1) takes the lock of the descriptor that the program inherits.
  const report = await told(`${IDLE}
    sh -c "exec 9<> ${LOCK}; flock 9; exec /dev/shm/pmxcfs 60" & await called 1
    $CHECK --only database --json || true`);
  expectFound(report, "DB_LOCKED_BY_OTHER", {
    line: /^pid \d+ \(pmxcfs\) holds the lock \S+, but does not serve @pve2$/,
    fix: /^\[ \/proc\/\d+\/fd\/9 -ef \S+ \] && kill \d+ && systemctl restart pve-cluster$/,
    exit: 2,
  });
});

test("a server whose start has not ended holds the lock of its own service", async () => {
  const report = await told(`${IDLE} mkdir /dev/shm/bin
    printf '#!/bin/sh\\necho 0\\ncat /dev/shm/pid\\n' > /dev/shm/bin/systemctl
    chmod +x /dev/shm/bin/systemctl; export PATH=/dev/shm/bin:$PATH
    flock --no-fork ${LOCK} /dev/shm/pmxcfs 60 & echo $! > /dev/shm/pid; await called 1
    $CHECK --only database --json || true`);
  expect(codesOf(report)).toEqual([]);
});

/** A program called pmxcfs that has config.db open so. */
function opens(how: "<>" | "<"): string {
  return `sh -c "exec 9${how} /var/lib/pve-cluster/config.db; exec /dev/shm/pmxcfs 60" &
  `;
}

const TWICE = "$CHECK --only SERVER_TWICE --json || true";

test("SERVER_TWICE: the lock file was removed, and a second pmxcfs started", async () => {
  const report = await told(`${IDLE} : > /var/lib/pve-cluster/config.db
    ${opens("<>")} ${opens("<>")} await called 2; ${TWICE}`);
  expectFound(report, "SERVER_TWICE", {
    line: /^2 servers have \S+config\.db open for writing: pid \d+ \(pmxcfs\), pid \d+ \(pmxcfs\)$/,
    fix: /^Keep what is mounted: `cp -a \/etc\/pve \/root\/pve-kept`\. /,
    exit: 2,
  });
});

test("one that only reads the file is no second server", async () => {
  const report = await told(`${IDLE} : > /var/lib/pve-cluster/config.db
    ${opens("<>")} ${opens("<")} await called 2; ${TWICE}`);
  expect(codesOf(report)).toEqual([]);
});
