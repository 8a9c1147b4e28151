/**
 * The support bundle: its parts, none of which has a secret that was planted in every kind of file
 * and in the logs.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { gunzipSync } from "node:zlib";
import { maskSecrets } from "../../src/base/mask-secrets.ts";
import { createStyle } from "../../src/cli/terminal.ts";
import { makeBundle } from "../../src/tools/bundle/bundle.ts";
import { indexPage } from "../../src/tools/bundle/page.ts";
import { found } from "../../src/tools/check/finding.ts";
import { makeReport } from "../../src/tools/check/report.ts";
import { needRoot } from "../support/identity.ts";
import { PROGRAM, sandbox } from "./support/run.ts";

needRoot();
setDefaultTimeout(120_000);

/** The planted secrets: none may be in the bundle. */
const PLANTED = {
  "priv/token.cfg": "root@pam!mon 11111111-aaaa-bbbb-cccc-000000000001",
  "priv/storage/nas.pw": "PLANTEDPW02",
  "priv/shadow.cfg": "root:$5$PLANTEDHASH03",
  "nodes/pve1/pve-ssl.key": "-----BEGIN PRIVATE KEY-----\nPLANTEDKEY04\n-----END PRIVATE KEY-----",
  "nodes/pve1/priv/x": "PLANTEDNODE05",
  "storage.cfg": "cifs: nas\n\tpassword PLANTEDSTORE06\n",
  "nodes/pve1/qemu-server/100.conf": "name: a\ncipassword: PLANTEDCI07\nsshkeys: PLANTEDSSH08\n",
  "user.cfg": "token:root@pam!mon:0:0::\nldap: bindpw PLANTEDBIND09\n",
  "notifications.cfg": "gotify: g\n\ttoken PLANTEDGOTIFY10\n",
  "firewall/cluster.fw": "# password=PLANTEDFW11\n",
};

/** Lines that a journal may hold. */
const LOGGED = [
  "pvedaemon: login with password=PLANTEDLOG12 failed",
  "curl -H Authorization: PVEAPIToken=root@pam!mon=11111111-aaaa-bbbb-cccc-000000000013",
  "mount //nas/x -o username=a,password=PLANTEDLOG14",
  "proxy https://user:PLANTEDLOG15@proxy.example.net/",
  "ticket PVE:root@pam:64AB12CD::PLANTEDLOG16==",
  '{"secret": "PLANTEDLOG17", "api_key":"PLANTEDLOG18"}',
  "smbclient --password PLANTEDLOG19",
];

const MARKS = /PLANTED\w+|11111111-aaaa-bbbb-cccc-0000000000\d\d/g;

test("a secret in a log line is masked, and the rest of the line is kept", () => {
  const masked = LOGGED.map((line) => maskSecrets(line));
  expect(masked.join("\n").match(MARKS)).toBeNull();
  expect(masked[0]).toStartWith("pvedaemon: login with password=***");
  expect(maskSecrets("quorum: 2 of 3 votes, keyboard: de\n")).toBe(
    "quorum: 2 of 3 votes, keyboard: de\n",
  );
});

test("no planted secret is in any file of a bundle", async () => {
  const files = Object.entries(PLANTED)
    .map(
      ([path, text]) =>
        `mkdir -p "$(dirname "tree/${path}")"; printf '%s' '${text}' > tree/${path}`,
    )
    .join("\n");
  const { out, error } = await sandbox(`
    cd "$(mktemp -d)"; trap 'rm -rf "$PWD"' EXIT
    ${files}
    for d in /var/lib/pve-cluster /etc/corosync; do mkdir -p $d; mount -t tmpfs tmpfs $d; done
    ${PROGRAM.join(" ")} config import --db /var/lib/pve-cluster/config.db tree > /dev/null
    printf 'totem {\\n  cluster_name: c\\n  key: PLANTEDTOTEM20\\n}\\n' \\
      > /etc/corosync/corosync.conf
    mkdir bin
    printf '#!/bin/sh\\ncat <<"END"\\n%s\\nEND\\n' '${LOGGED.join("\n")}' > bin/journalctl
    chmod 755 bin/journalctl
    PATH=$PWD/bin:$PATH $CHECK --bundle b.tar.gz > /dev/null || true
    stat -c 'mode %a' b.tar.gz
    tar tzf b.tar.gz
    mkdir x; tar xzf b.tar.gz -C x
    grep -rE 'cluster_name: c|100.conf|login with' x | head -n 20
    grep -rhoE 'PLANTED[A-Z0-9]+|11111111-aaaa-bbbb-cccc-[0-9]+' x | sort | uniq -c || true`);
  expect(error).toMatch(/b\.tar\.gz: \d+ files, \d+ bytes; look at index\.html/);
  expect(out).toContain("mode 600");
  for (const name of ["index.html", "check.json", "logs/pve-cluster.log", "config-db/tree.txt"]) {
    expect(out).toContain(`/${name}\n`);
  }
  expect(out).toContain("nodes/pve1/qemu-server/100.conf");
  expect(out).toContain("login with password=***");
  expect(out.match(MARKS)).toBeNull();
});

test("a secret in a finding is masked in every file of a bundle, the page included", async () => {
  const findings = LOGGED.map((message) => {
    const values = { unit: "pve-cluster.service", message, meaning: "an error" };
    return found("LOG_ERROR", values, { details: [message] });
  });
  const report = makeReport({ host: "n1", service: "pve2", at: 0, durationMs: 0 }, findings);
  const nowhere = { database: "/nowhere", history: "/nowhere", corosyncConf: "/nowhere" };
  const { bytes } = await makeBundle(report, nowhere, createStyle(false));
  const text = gunzipSync(bytes).toString("utf8");
  expect(text).toContain("login with password=***");
  expect(text.match(MARKS)).toBeNull();
});

test("the page of a bundle says what to do where no command is safe", () => {
  const finding = found("NO_QUORUM", { cluster: "c", online: 1, nodes: 3 });
  const report = makeReport({ host: "n1", service: "pve2", at: 0, durationMs: 0 }, [finding]);
  expect(indexPage(report, [])).toContain("Look at `pvecm status` and `corosync-cfgtool -s`.");
});

/** Programs that leave their output open in another process, and a dd that does not end. */
const HANGING = `mkdir bin
  for name in df corosync-cfgtool; do
    printf '#!/bin/sh\necho %s-started; sleep 600 &\n' $name > bin/$name
  done
  printf '#!/nowhere/sh\n' > bin/journalctl
  printf '#!/bin/sh\nexec sleep 600\n' > bin/dd
  chmod 755 bin/*`;

test("a command or a disk that hangs delays a bundle, but does not prevent it", async () => {
  const { out } = await sandbox(`
    cd "$(mktemp -d)"; trap 'rm -rf "$PWD"' EXIT
    mount -t tmpfs tmpfs /var/lib; mkdir /var/lib/pve-cluster; : > /var/lib/pve-cluster/config.db
    ${HANGING}
    PATH=$PWD/bin:$PATH timeout 120 $CHECK --only memory --bundle b.tar.gz > /dev/null || true
    mkdir x; tar xzf b.tar.gz -C x --strip-components 1
    cat x/system/space.txt x/corosync/rings.txt x/logs/corosync.log x/config-db/tree.txt`);
  expect(out.split("\n")).toEqual([
    "df-started",
    "df did not end within 5000 ms",
    "corosync-cfgtool-started",
    "corosync-cfgtool did not end within 5000 ms",
    expect.stringMatching(/^journalctl cannot be started: /),
    "/var/lib/pve-cluster/config.db could not be read in time",
    "",
  ]);
});

test("a bundle that does not fit leaves no file, and the report is shown", async () => {
  const { out, error } = await sandbox(`
    mount -t tmpfs -o size=4k tmpfs /mnt
    $CHECK --only memory --verbose --bundle /mnt/b.tar.gz || echo "exit $?"
    ls -A /mnt`);
  expect(error).toMatch(/^pmxcfs-ipc: --bundle: ENOSPC: /);
  expect(out).toMatch(/PASS: \/dev\/shm: [^]*\nexit 3\n$/);
});
