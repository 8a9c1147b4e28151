/** Codes about the machine under the server: shared memory, node name, memory, clock, processes. */
import type { Code } from "../code.ts";

export const MACHINE_CODES = {
  SHM_MISSING: {
    check: "memory",
    severity: "fail",
    line: "{path} is not there: {reason}",
    cause: "libqb keeps its rings in /dev/shm; without it no client can connect.",
    fix: "mkdir -p {path} && mount -t tmpfs -o mode=1777 tmpfs {path}",
    seen: ["no-space", "permission-denied"],
  },
  SHM_READ_ONLY: {
    check: "memory",
    severity: "fail",
    line: "{path} is mounted read-only",
    cause: "No rings can be made: every connection fails.",
    fix: "mount -o remount,rw {path}",
    seen: ["permission-denied"],
  },
  SHM_FULL: {
    check: "memory",
    severity: "fail",
    line: "{path}: {free} of {size} MiB free, room for {clients} more clients (limit {limit})",
    cause:
      "Each client takes three rings of just over 1 MiB, reserved at connect. Leftovers of killed " +
      "servers and other programs' files use the same space.",
    fix: "pmxcfs-ipc --check --clean-stale --dry-run; du -sh {path}/* | sort -h | tail",
    seen: ["no-space"],
  },
  SHM_LOW: {
    check: "memory",
    severity: "warn",
    line: "{path}: {free} of {size} MiB free, room for {clients} more clients (limit {limit})",
    cause: "Each client takes 3.05 MiB. Containers often have a /dev/shm of 64 MiB: 20 clients.",
    fix: "mount -o remount,size=512M {path} (containers: --shm-size=512m)",
    seen: ["no-space"],
  },
  SHM_INODES_LOW: {
    check: "memory",
    severity: "warn",
    line: "{path}: {free} of {total} inodes free, room for {clients} more clients (limit {limit})",
    cause: "Each client takes seven inodes: a directory and six files.",
    fix: "mount -o remount,nr_inodes=1m {path}; ls {path} | wc -l",
    seen: ["no-space"],
  },
  SHM_NOT_TMPFS: {
    check: "memory",
    severity: "warn",
    line: "{path} is {type}, not tmpfs",
    cause:
      "Rings on a disk file system are written back by the kernel: slow, and wear for nothing.",
    fix: "mount -t tmpfs -o mode=1777 tmpfs {path}",
  },
  SHM_STALE: {
    check: "leftovers",
    severity: "warn",
    line: "{count} ring directories of dead pmxcfs servers hold {size} MiB of {path}",
    cause: "A server that was killed cannot remove them, and libqb never sweeps.",
    fix: "pmxcfs-ipc --check --clean-stale",
    seen: ["no-space"],
  },
  SHM_STALE_FOREIGN: {
    check: "leftovers",
    severity: "notice",
    line: "{count} ring directories of other dead libqb servers ({services}) hold {size} MiB",
    cause: "They belong to corosync, pacemaker or another program; this tool does not touch them.",
    fix: "systemctl restart corosync (it clears its own at start)",
    seen: ["no-space"],
  },
  NAME_UNRESOLVED: {
    check: "name",
    severity: "fail",
    line: "the node name {name} does not resolve to any address",
    cause: "pmxcfs looks its own name up at start and ends when there is no address.",
    fix: "echo '{address} {name}' >> /etc/hosts",
    seen: ["node-name", "service-failed"],
  },
  NAME_LOOPBACK: {
    check: "name",
    severity: "fail",
    line: "the node name {name} resolves only to {address} ({where})",
    cause:
      "pmxcfs needs a non-loopback address for its own name and does not start without one. " +
      "Debian's installer writes 127.0.1.1.",
    fix: "write into /etc/hosts, instead of that line: {line}",
    seen: ["node-name", "service-failed"],
  },
  NAME_SLOW: {
    check: "name",
    severity: "warn",
    line: "looking up the node name {name} took longer than {deadline} ms",
    cause: "A DNS server does not answer. pmxcfs looks its name up at start, before it listens.",
    fix: "echo '{address} {name}' >> /etc/hosts",
    seen: ["node-name"],
  },
  NODENAME_DIFFERS: {
    check: "name",
    severity: "fail",
    line: "the server is node {server}, this machine is called {name}",
    cause:
      "The host was renamed while the server ran, or this is a container. PVE looks for its files " +
      "under nodes/{name}.",
    fix: "hostnamectl hostname {server}, or restart pve-cluster after moving nodes/{server}",
    seen: ["empty-after-rename"],
  },
  NODE_DIRECTORY_MISSING: {
    check: "name",
    severity: "warn",
    line: "nodes/{name} does not exist; there are: {others}",
    cause:
      "After a rename the guests stay under the old name and the GUI seems to have forgotten them.",
    fix: "ls /etc/pve/nodes; mv /etc/pve/nodes/OLD/qemu-server/*.conf /etc/pve/nodes/{name}/qemu-server/",
    seen: ["empty-after-rename"],
  },
  CLOCK_BACKWARDS: {
    check: "resources",
    severity: "warn",
    line: "{what} is {seconds} s in the future (limit {limit} s): the clock went backwards",
    cause:
      "Versions, locks and graphs compare times; after a jump back, locks seem held for ever and " +
      "graphs stop until the old time is reached again.",
    fix: "chronyc tracking; timedatectl; systemctl restart pve-cluster rrdcached",
  },
  MEMORY_PRESSURE: {
    check: "resources",
    severity: "warn",
    line: "tasks were stalled on memory {percent} % of the last minute (limit {limit} %)",
    cause: "The machine reclaims or swaps; everything, the server included, waits for pages.",
    fix: "free -m; cat /proc/pressure/memory; ps axo rss,comm --sort -rss | head",
    seen: ["hang", "status-update-time"],
  },
  MEMORY_LOW: {
    check: "resources",
    severity: "warn",
    line: "{available} of {total} MiB of memory are available, {percent} % (limit {limit} %)",
    cause: "Little is left before the kernel has to kill something.",
    fix: "free -m; ps axo rss,comm --sort -rss | head",
  },
  DESCRIPTORS_LOW: {
    check: "resources",
    severity: "warn",
    line: "the server (pid {pid}) has {open} descriptors open, {percent} % of its {limit}",
    cause: "Each client takes descriptors; at the limit nobody can connect any more.",
    fix: "prlimit --pid {pid} --nofile=65536; in the unit: LimitNOFILE=65536",
    seen: ["resource-unavailable"],
  },
  CLIENTS_STUCK: {
    check: "stuck",
    severity: "warn",
    line: "{count} processes sleep uninterruptibly (state D): {list}",
    cause:
      "The kernel waits on their behalf: a hung storage, a dead NFS server, or an operation on " +
      "/etc/pve that pmxcfs does not answer.",
    fix: "ps axo pid,stat,wchan:32,comm | awk '$2 ~ /^D/'",
    seen: ["hang", "status-update-time"],
  },
  PROBE_TIMEOUT: {
    check: "resources",
    severity: "warn",
    line: 'the check "{name}" was not done within {deadline} ms',
    cause: "What it looks at does not answer; the other checks are unaffected.",
    fix: "pmxcfs-ipc --check --only {check} --deadline 10s",
  },
  PROBE_FAILED: {
    check: "resources",
    severity: "warn",
    line: 'the check "{name}" ended in an error of its own: {message}',
    cause: "Something on this machine looks like nothing this tool has met; please report it.",
    fix: "pmxcfs-ipc --check --only {check} --json",
  },
} as const satisfies Record<string, Code>;
