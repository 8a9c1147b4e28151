/** Which of several addresses of a node the line for /etc/hosts gets. */
import { certifiedAddresses } from "../../src/tools/check/probes/own-address.ts";
import { parseAddresses } from "../../src/tools/check/probes/addresses.ts";
import { TempDirectory } from "../pmxcfs/support.ts";
import { needRoot } from "../support/identity.ts";
import { FILE, nodeTree, writeDatabase } from "./support/database.ts";
import { told } from "./support/run.ts";
import { expect, test } from "bun:test";

needRoot();

/** As PVE makes one: for 127.0.0.1, ::1, localhost, 192.0.2.7, fd00::7 and pve1. */
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBwjCCAWegAwIBAgIUT2pSghuJXqQ2K5JiNLMup+0GhMowCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEcHZlMTAeFw0yNjExMjcxNjI5MTZaFw0yNjEyMDcxNjI5MTZa
MA8xDTALBgNVBAMMBHB2ZTEwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAT1e352
VSg+LUZZhW2lOnK7aRszfrqKVB+PT9++Tmk3WUqkdB30D9F6aYHvKxqb/WcGhKBY
HLD41chURlN1MQ/Po4GgMIGdMB0GA1UdDgQWBBTGVwX58R5rWtJKAlCsq5O+3QWZ
tzAfBgNVHSMEGDAWgBTGVwX58R5rWtJKAlCsq5O+3QWZtzAPBgNVHRMBAf8EBTAD
AQH/MEoGA1UdEQRDMEGHBH8AAAGHEAAAAAAAAAAAAAAAAAAAAAGCCWxvY2FsaG9z
dIcEwAACB4cQ/QAAAAAAAAAAAAAAAAAAB4IEcHZlMTAKBggqhkjOPQQDAgNJADBG
AiEAhrVKBqtHcFMyNOeF9igjYemWxIiR7BQPJYbqVWzs55ICIQCU+YaIpKQDtgIM
uCfYU3WLbakOA6QV6UOOjEc9Fg9L8w==
-----END CERTIFICATE-----
`;

test("the addresses of a certificate are in their shortest form", () => {
  const all = ["127.0.0.1", "::1", "192.0.2.7", "fd00::7"];
  expect(certifiedAddresses(CERTIFICATE)).toEqual(all);
  expect(certifiedAddresses("")).toEqual([]);
  expect(certifiedAddresses(CERTIFICATE.replace("MIIB", "MIIC"))).toEqual([]);
});

const UP_WITHOUT_LINK = `[{"ifname":"lo","flags":["LOOPBACK","UP"],"addr_info":[
  {"family":"inet","local":"127.0.0.1","scope":"host"}]},
  {"ifname":"eth0","flags":["BROADCAST"],"addr_info":[{"family":"inet","local":"192.0.2.8"}]},
  {"ifname":"vmbr0","flags":["NO-CARRIER","UP"],"addr_info":[
  {"family":"inet","local":"192.0.2.7"},{"family":"inet6","local":"fd00::7"},{}]}]`;

test("an interface that is up has its addresses also without a link", () => {
  expect(parseAddresses(UP_WITHOUT_LINK)).toEqual([
    { name: "lo", address: "127.0.0.1", family: "IPv4", internal: true },
    { name: "vmbr0", address: "192.0.2.7", family: "IPv4", internal: false },
    { name: "vmbr0", address: "fd00::7", family: "IPv6", internal: false },
  ]);
  for (const text of ["", "{}", "Object not supported"]) {
    expect(parseAddresses(text)).toBeUndefined();
  }
});

function interfaceLines(name: string, address: string): string {
  return `ip link add ${name} type bridge; ip link set ${name} up
    ip address add ${address}/24 dev ${name}`;
}

/** A node pve1 whose name has a loopback address, with three interfaces, eth9 to the world. */
const THREE = `own_etc
  hostname pve1
  ${interfaceLines("eth7", "192.0.2.7")}
  ${interfaceLines("eth8", "198.51.100.8")}
  ${interfaceLines("eth9", "203.0.113.9")}
  ip route add default via 203.0.113.1
  mount -t tmpfs tmpfs /var/lib; mkdir /var/lib/pve-cluster
  printf '127.0.0.1 localhost\\n127.0.1.1 pve1\\n' > /etc/hosts
  printf 'hosts: files\\n' > /etc/nsswitch.conf
`;

const NAME = "$CHECK --only name --json || true";

async function addressIn(script: string): Promise<string | undefined> {
  const { findings } = await told(`${THREE}\n${script}\n${NAME}`);
  const { fix } = findings.find(({ code }) => code === "NAME_LOOPBACK") ?? {};
  return /s\/127\\\.0\\\.1\\\.1\/(\S+)\/'/.exec(fix ?? "")?.[1];
}

const IN_CLUSTER = `mkdir -p /etc/corosync; cat > /etc/corosync/corosync.conf << END
nodelist {
  node {
    name: pve2
    nodeid: 2
    ring0_addr: 192.0.2.7
  }
  node {
    name: pve1
    nodeid: 1
    ring0_addr: 198.51.100.8
  }
}
END`;

test("a node outside a cluster gets the address of the default route", async () => {
  expect(await addressIn("true")).toBe("203.0.113.9");
});

test("a member gets its address in corosync.conf, unless no interface has it", async () => {
  expect(await addressIn(IN_CLUSTER)).toBe("198.51.100.8");
  expect(await addressIn(`${IN_CLUSTER}\nip link delete eth8`)).toBe("203.0.113.9");
});

test("the address in the certificate of the node comes before that of corosync", async () => {
  using directory = new TempDirectory();
  const path = directory.at("config.db");
  writeDatabase(path, [...nodeTree("pve1"), [9, 2, FILE, "pve-ssl.pem", CERTIFICATE]]);
  expect(await addressIn(`cp ${path} /var/lib/pve-cluster/; ${IN_CLUSTER}`)).toBe("192.0.2.7");
});

test("a node whose cable is unplugged keeps its address", async () => {
  const unplugged = `ip link delete eth9; ip link delete eth8; ip link delete eth7
    ip link add eth7 type veth peer name far; ip link set eth7 up
    ip address add 192.0.2.7/24 dev eth7`;
  expect(await addressIn(unplugged)).toBe("192.0.2.7");
});
