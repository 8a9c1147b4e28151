/**
 * Fixes that are systemctl's, followed under a real systemd: one boot, the states one after the
 * other, each made from a node that works.
 */
import type { CodeName } from "../../../src/tools/diagnosis/codes.ts";
import { native } from "../../support/native.ts";
import type { Tried } from "../servers/try-fix.ts";
import { driver, triedOf } from "./fixes.ts";
import { printedUnderSystemd } from "./systemd.ts";

interface SystemdState {
  /** Shell commands that make the state. */
  readonly make: string;
  readonly only: readonly string[];
  readonly deadline?: string;
}

const LISTENING = `grep -q "00010000 .* @svc" /proc/net/unix`;
const RRD_LISTENING = `grep -q "00010000 .* /var/run/rrdcached.sock$" /proc/net/unix`;

/** In this order: each finds the node as the fix before it left it. */
export const SYSTEMD_FIXES: Partial<Record<CodeName, SystemdState>> = {
  UNIT_INACTIVE: { make: "true", only: ["unit"] },
  SOCKET_ABSENT: { make: "systemctl stop pve-cluster", only: ["listener"] },
  UNIT_MASKED: {
    make: `systemctl stop pve-cluster; systemctl mask pve-cluster
      systemctl mask --runtime pve-cluster`,
    only: ["unit"],
  },
  UNIT_FAILED: {
    make: "touch /run/broken; systemctl restart pve-cluster; rm /run/broken",
    only: ["unit"],
  },
  PVE_NOT_MOUNTED: { make: "umount -l /etc/pve", only: ["mount"] },
  PVE_WITHOUT_SERVER: { make: "pkill -x pmxcfs; until_silent", only: ["mount"] },
  SOCKET_FILESYSTEM_MISMATCH: {
    make: "mkdir -p /etc/libqb; touch /etc/libqb/force-filesystem-sockets",
    only: ["listener"],
  },
  RRDCACHED_ABSENT: { make: "systemctl stop rrdcached", only: ["rrd"] },
  RRDCACHED_HUNG: {
    make: "systemctl kill --signal=STOP rrdcached",
    only: ["rrd"],
    deadline: "1s",
  },
};

/**
 * A C server on libqb called pmxcfs, and a FUSE file system on /etc/pve: what a node has. The
 * program is a new file at each start: the old one may still be "busy".
 */
const NODE = `[Service]
ExecStartPre=/bin/mkdir -p /etc/pve /run/bin
ExecStartPre=/bin/test ! -e /run/broken
ExecStartPre=/bin/cp --remove-destination ${native("qb-faulty-server")} /run/bin/pmxcfs
ExecStart=/bin/bash -c '/run/bin/pmxcfs svc & ${native("fuse-node")} /etc/pve 0755 & wait'
ExecStartPost=/bin/bash -c 'until test -e /etc/pve/local; do sleep 0.02; done'
ExecStopPost=-/bin/bash -c 'umount -l /etc/pve 2> /dev/null'
`;

/** As Debian's, a start of the unit ends when it listens. */
const RRDCACHED = `[Service]
Environment=WHERE=/var/lib/rrdcached/db
ExecStart=/usr/bin/rrdcached -g -l unix:/var/run/rrdcached.sock -b $WHERE -p /run/rrd.pid
ExecStartPost=/bin/bash -c 'until ${RRD_LISTENING}; do sleep 0.02; done'
TimeoutStopSec=5
`;

const PRELUDE = `
until_silent() { for i in $(seq 1500); do ${LISTENING} || break; sleep 0.02; done; }
rm -rf /etc/pve; mkdir -p /etc/pve /var/lib/rrdcached/db
systemctl start rrdcached
`;

/** What the error of a fix that fails shows. */
const JOURNAL = "journalctl --sync; journalctl -q -o cat -n 15 -u pve-cluster -u rrdcached";

/** Limit of all fixes: they take 10 s on an idle machine. */
export const FIXES_S = 200;

/** The result of each, in one boot. */
export async function followUnderSystemd(): Promise<Map<string, Tried>> {
  const steps = Object.entries(SYSTEMD_FIXES).map(([code, { make, only, deadline }]) => {
    const attempt = {
      code: code as CodeName,
      only,
      ...(deadline === undefined ? {} : { deadline }),
    };
    const words = driver({ ...attempt, roots: ["/etc"], look: JOURNAL });
    return `${make}\n${words}\nsleep 0.2\n`;
  });
  const out = await printedUnderSystemd({
    units: { "pve-cluster.service": NODE, "rrdcached.service": RRDCACHED },
    command: `{ ${PRELUDE}${steps.join("")}} 2> /root/errors`,
    flags: ["--bind=/dev/fuse"],
    longestS: FIXES_S,
  });
  const codes = Object.keys(SYSTEMD_FIXES);
  const lines = out.trim().split("\n");
  return new Map(lines.map((line, at) => [codes[at] ?? "?", triedOf(line, out)]));
}
