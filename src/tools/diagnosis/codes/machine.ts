/** Codes about the host: shared memory, node name, memory, clock, processes. */
import type { Code } from "../code.ts";

/** The advice if the node without a directory was named by --node. */
export const NODE_GIVEN =
  "The server was started with --node {name}. If another name is meant, correct it there and " +
  "restart the server. To keep it: `pmxcfs-ipc config rename-node --mount /etc/pve OLD-NAME " +
  "{name}` moves the files of the guests, one by one; it needs quorum.";

export const MACHINE_CODES = {
  SHM_MISSING: {
    title: "no /dev/shm",
    check: "memory",
    severity: "fail",
    usualPath: "/dev/shm",
    line: "{path} is not there: {reason}",
    cause: "libqb creates its rings in /dev/shm: without it no client can connect.",
    fix: "mkdir -p {path} && mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs {path}",
    seen: ["no-space", "permission-denied"],
  },
  SHM_READ_ONLY: {
    title: "a read-only /dev/shm",
    check: "memory",
    severity: "fail",
    usualPath: "/dev/shm",
    line: "{path} is mounted read-only",
    cause: "No rings can be created: every connection fails.",
    fix: "mount -o remount,rw {path}",
    seen: ["read-only-file-system", "permission-denied"],
  },
  SHM_FULL: {
    title: "/dev/shm is full",
    check: "memory",
    severity: "fail",
    usualPath: "/dev/shm",
    line:
      "{path}: {free} of {size} MiB free, room for {clients} more " +
      "{clients:client|clients} (limit {limit})",
    cause:
      "Each client takes three rings of just over 1 MiB, reserved at connect. Leftovers of " +
      "killed servers and other programs' files use the same space.",
    fix: "mount -o remount,size={target}M {path}",
    advice: "The largest files: `du -sh {path}/* | sort -h | tail`. In a container: --shm-size.",
    seen: ["no-space", "pmxcfs-ipc-crit"],
  },
  SHM_LOW: {
    title: "/dev/shm is nearly full",
    check: "memory",
    severity: "warn",
    usualPath: "/dev/shm",
    line:
      "{path}: {free} of {size} MiB free, room for {clients} more " +
      "{clients:client|clients} (limit {limit})",
    cause: "Each client takes 3.05 MiB. Containers often have a /dev/shm of 64 MiB: 21 clients.",
    fix: "mount -o remount,size={target}M {path}",
    advice: "To keep it: size= in /etc/fstab; in a container --shm-size=512m.",
    seen: ["no-space"],
  },
  SHM_INODES_LOW: {
    title: "/dev/shm has few inodes left",
    check: "memory",
    severity: "warn",
    usualPath: "/dev/shm",
    line:
      "{path}: {free} of {total} inodes free, room for {clients} more " +
      "{clients:client|clients} (limit {limit})",
    cause: "Each client takes seven inodes: a directory and six files.",
    fix: "mount -o remount,nr_inodes=1m {path}",
    advice: "The number of entries: `ls {path} | wc -l`.",
    seen: ["no-space"],
  },
  SHM_NOT_TMPFS: {
    title: "/dev/shm is not in memory",
    check: "memory",
    severity: "warn",
    usualPath: "/dev/shm",
    line: "{path} is {type}, not tmpfs",
    cause: "The kernel writes rings on a disk file system to the disk: that is slow and useless.",
    advice:
      "Mount a tmpfs there at the next boot (a line in /etc/fstab). Mounting it now would hide " +
      "the rings of running servers.",
  },
  SHM_STALE: {
    title: "leftovers of a killed server",
    check: "leftovers",
    severity: "warn",
    usualPath: "/dev/shm",
    line:
      "{count} ring {count:directory|directories} of dead pmxcfs servers {count:holds|hold} " +
      "{size} MiB of {path}",
    cause:
      "A server that was killed cannot remove its ring directories, and libqb does not remove " +
      "them later.",
    fix: "pmxcfs-ipc --check --clean-stale --socket {service}",
    seen: ["no-space"],
  },
  SHM_STALE_FOREIGN: {
    title: "leftovers of other libqb servers",
    check: "leftovers",
    severity: "notice",
    line:
      "{count} ring {count:directory|directories} of other dead libqb servers ({services}) " +
      "{count:holds|hold} {size} MiB",
    cause:
      "They belong to corosync, pacemaker or another program, so --clean-stale does not remove " +
      "them.",
    advice: "corosync removes its own directories at its next start.",
    seen: ["no-space"],
  },
  HOSTNAME_LOST: {
    title: "the machine has no name of its own",
    check: "name",
    severity: "fail",
    line: 'this machine is called "{name}", which is not the name of a node',
    cause:
      "/etc/hostname is missing or empty, or a program set this name. pmxcfs takes the machine's " +
      "name for that of its node: it does not start, and under a wrong name no guest is shown.",
    advice:
      "`pmxcfs-ipc config ls nodes` lists the names in the tree. Set this node's: `hostnamectl " +
      "hostname NAME`, then `systemctl restart pve-cluster`. Do not give {name} another address " +
      "in /etc/hosts.",
    seen: ["node-name", "service-failed"],
  },
  NAME_UNRESOLVED: {
    title: "the node name has no address",
    check: "name",
    severity: "fail",
    line: "the node name {name} does not resolve to any address",
    cause: "pmxcfs resolves its own name at its start, and ends if there is no address.",
    fix: "printf '\\n%s %s\\n' {address} {name} >> {hosts} && systemctl restart pve-cluster",
    advice: "Look at `ip -brief address`: the line must have the address of this node.",
    seen: ["node-name", "service-failed"],
  },
  NAME_LOOPBACK: {
    title: "the node name resolves to loopback",
    check: "name",
    severity: "fail",
    line: "the node name {name} resolves only to {address} ({where})",
    cause:
      "pmxcfs needs a non-loopback address for its own name, and does not start without one. " +
      "Debian's installer writes 127.0.1.1 into /etc/hosts.",
    fix: "printf '\\n%s %s\\n' {own} {name} >> {hosts} && systemctl restart pve-cluster",
    advice: "Look at `ip -brief address`: the line must have the address of this node.",
    seen: ["node-name", "service-failed"],
  },
  NAME_SLOW: {
    title: "looking up the node name takes long",
    check: "name",
    severity: "warn",
    line: "looking up the node name {name} took longer than {deadline} ms",
    cause:
      "A DNS server does not answer. pmxcfs resolves its name at its start, before it listens.",
    fix: "printf '\\n%s %s\\n' {address} {name} >> {hosts}",
    advice: "/etc/nsswitch.conf must have `hosts: files` before dns.",
    seen: ["node-name"],
  },
  NODENAME_DIFFERS: {
    title: "server and machine have different names",
    check: "name",
    severity: "fail",
    line: "the server is node {server}, this machine is called {name}",
    cause:
      "The host was renamed while the server ran, or this is a container. PVE's tools use the " +
      "files under nodes/{name}.",
    advice:
      "To go back: `hostnamectl hostname {server}`. To keep the new name, first move the guests' " +
      "files from nodes/{server}, one by one, then restart pve-cluster.",
    seen: ["empty-after-rename"],
  },
  NODE_DIRECTORY_MISSING: {
    title: "no directory for this node",
    check: "name",
    severity: "warn",
    line: "nodes/{name} does not exist; there are: {others}",
    cause:
      "The host was renamed, or the server's --node is wrong. The guests' files are still under " +
      "the old name, so the GUI does not show them on this node.",
    advice:
      "To go back: `hostnamectl hostname OLD-NAME`, then `systemctl restart pve-cluster`. To " +
      "keep the new name: `pmxcfs-ipc config rename-node --mount /etc/pve OLD-NAME {name}` " +
      "moves the files of the guests, one by one; it needs quorum.",
    seen: ["proxy-key", "no-such-entry", "empty-after-rename"],
  },
  NODE_KEYS_MISSING: {
    title: "this node has no key for its web interface",
    check: "files",
    severity: "warn",
    line: "nodes/{name} has no {list}",
    cause:
      "pveproxy does not start without them. An interrupted join, a rename of the host, or a " +
      "removal by hand leaves a node without. The IPC does not need them.",
    advice: "With quorum: `pvecm updatecerts`, then `systemctl restart pveproxy spiceproxy`.",
    seen: ["proxy-key"],
  },
  CLOCK_BACKWARDS: {
    title: "the clock went backwards",
    check: "resources",
    severity: "warn",
    line: "{what} is {seconds} s in the future (limit {limit} s): the clock went backwards",
    cause:
      "Versions, locks and graphs compare times. After a jump back, locks cannot be refreshed " +
      "and graphs stop, until the clock has reached the old time.",
    advice:
      "Look at `timedatectl` and `chronyc tracking`. When the time is right: `systemctl restart " +
      "pve-cluster rrdcached`.",
  },
  MEMORY_PRESSURE: {
    title: "memory pressure",
    check: "resources",
    severity: "warn",
    line: "tasks were stalled on memory {percent} % of the last minute (limit {limit} %)",
    cause:
      "The kernel reclaims memory or swaps, so all processes, the server included, wait for pages.",
    advice:
      "Look at `free -m`, `cat /proc/pressure/memory` and `ps axo rss,comm --sort -rss | head`.",
    seen: ["hang", "status-update-time"],
  },
  MEMORY_LOW: {
    title: "little memory left",
    check: "resources",
    severity: "warn",
    line: "{available} of {total} MiB of memory are available, {percent} % (limit {limit} %)",
    cause:
      "If memory runs out, the kernel kills a process. A killed pmxcfs can leave a dead FUSE " +
      "mount on /etc/pve.",
    advice: "Look at `free -m` and `ps axo rss,comm --sort -rss | head`.",
    seen: ["server-killed"],
  },
  RUN_FULL: {
    title: "/run has no room",
    check: "resources",
    severity: "warn",
    usualPath: "/run",
    line: "{path} has {free} free (limit {limit})",
    cause:
      "Pid files, sockets and the state of systemd are there. A pmxcfs that cannot write its pid " +
      "file is ended by systemd after 90 s; PVE's daemons and guests do not start. What runs " +
      "already goes on.",
    fix: "mount -o remount,size={target}M,nr_inodes={nodes} {path}",
    advice:
      "What takes the room: `du -xh --max-depth=2 {path} | sort -h | tail -n 20`, and `du -x " +
      "--inodes --max-depth=2 {path} | sort -n | tail -n 20` for inodes. Remove no file of a " +
      "process that runs. If pmxcfs does not run, `systemctl restart pve-cluster` when there is " +
      "room.",
    seen: ["service-failed", "no-space"],
  },
  DESCRIPTORS_LOW: {
    title: "the server runs out of descriptors",
    check: "resources",
    severity: "warn",
    line: "the server (pid {pid}) has {open} descriptors open, {percent} % of its {limit}",
    cause: "Each client takes descriptors. At the limit no further client can connect.",
    fix: "prlimit --pid {pid} --nofile={target}:",
    advice: "To keep it: LimitNOFILE=65536 in the unit.",
    seen: ["resource-unavailable", "pmxcfs-ipc-crit"],
  },
  CLIENTS_STUCK: {
    title: "stuck processes",
    check: "stuck",
    severity: "warn",
    line: "{count} {count:process sleeps|processes sleep} uninterruptibly (state D): {list}",
    cause:
      "They wait in the kernel for a storage that hangs, a dead NFS server, or an operation on " +
      "/etc/pve that pmxcfs does not answer.",
    advice: "Look at `ps axo pid,stat,wchan:32,comm | awk '$2 ~ /^D/'`.",
    seen: ["hang", "status-update-time"],
  },
  PROBE_TIMEOUT: {
    title: "a check was not done in time",
    check: "resources",
    severity: "warn",
    line: 'the check "{name}" was not done within {deadline} ms',
    cause:
      "The subject of the check does not answer, or the checks before it used up the time of the " +
      "run (--total-deadline).",
    advice: "Give it more time: `pmxcfs-ipc --check --only {check} --deadline 10s`.",
  },
  PROBE_FAILED: {
    title: "a check failed itself",
    check: "resources",
    severity: "warn",
    line: 'the check "{name}" ended in an error of its own: {message}',
    cause: "A bug of this tool, in a state of the host that it was not tested with.",
    advice: "Please report it with the output of `pmxcfs-ipc --check --only {check} --json`.",
  },
} as const satisfies Record<string, Code>;
