/** Error texts of the server's side: pmxcfs, its service, corosync and the daemons around it. */
import type { ErrorText } from "./error-text.ts";

export const SERVER_TEXTS: readonly ErrorText[] = [
  {
    id: "no-quorum",
    title: "cluster not ready - no quorum?",
    patterns: [/cluster not ready/, /no quorum\b/, /node lost quorum/, /\bnot quorate\b/],
    meaning:
      "This node does not see a majority of the cluster: /etc/pve is read-only, and nothing may " +
      "be started or changed. The IPC works and answers reads.",
    causes: [
      { code: "NO_QUORUM", tell: "`pvecm status` says Quorate: No" },
      { code: "PVE_READ_ONLY", tell: "`stat -c %a /etc/pve/local` has no write bit" },
      { code: "CPG_RETRIES", tell: "corosync's links lose packets: `corosync-cfgtool -s`" },
    ],
  },
  {
    id: "pmxcfs-lock",
    title: "unable to acquire pmxcfs lock",
    patterns: [/unable to acquire pmxcfs lock/, /unable to create lock .*lockfile/],
    meaning:
      "A second pmxcfs runs: it holds the lock in /var/lib/pve-cluster, and this one gives up " +
      'after 10 s. "unable to create lock" instead means that the directory is missing or ' +
      "cannot be written.",
    causes: [
      { code: "DB_LOCKED_BY_OTHER", tell: "often a `pmxcfs -l` from a repair: `pgrep -a pmxcfs`" },
      {
        text: "/var/lib/pve-cluster is missing, read-only, or pmxcfs does not run as root.",
        tell: 'the line says "unable to create lock" and No such file, or Read-only',
        signs: /unable to create lock/,
      },
      { code: "DB_DISK_LOW", tell: "the disk is full: `df /var/lib/pve-cluster`" },
    ],
  },
  {
    id: "memdb-open",
    title: "memdb_open failed - unable to open database",
    patterns: [
      /memdb_open failed/,
      /db load failed/,
      /found entry with duplicate name/,
      /detected duplicate vmid/,
      /missing directory inode/,
      /unable to set wal mode/,
      /sp?lite3_open(_v2)? failed/,
      /file is not a database/,
      /database disk image is malformed/,
    ],
    meaning:
      "pmxcfs could not load /var/lib/pve-cluster/config.db and ended. The line before this one " +
      "in its log says why.",
    causes: [
      {
        code: "DB_CORRUPT",
        tell: "`pmxcfs-ipc --check --only database` as root",
        signs: /wal mode|not a database|malformed|lite3_open/,
      },
      {
        code: "DB_DUPLICATE_NAME",
        tell: "found entry with duplicate name",
        signs: /duplicate name/,
      },
      { code: "DB_DUPLICATE_VMID", tell: "detected duplicate VMID", signs: /duplicate vmid/ },
      { code: "DB_ORPHAN", tell: "missing directory inode", signs: /missing directory/ },
      { code: "DB_NOT_PMXCFS", tell: "the file has no table `tree`" },
      { code: "DB_DISK_LOW", tell: "`df /var/lib/pve-cluster` is full" },
    ],
  },
  {
    id: "node-name",
    title: "Unable to resolve node name '...' to a non-loopback IP address",
    patterns: [/unable to resolve node name/, /unable to get local ip address/],
    meaning:
      "pmxcfs looks its host name up at start and needs one address that is not 127.x or ::1. It " +
      "does not start without.",
    causes: [
      { code: "NAME_LOOPBACK", tell: "/etc/hosts has the name in a line with 127.0.1.1" },
      { code: "NAME_UNRESOLVED", tell: "`getent ahosts $(hostname)` prints nothing" },
      { code: "NAME_SLOW", tell: "`getent ahosts $(hostname)` takes seconds: DNS" },
    ],
  },
  {
    id: "cpg-retried",
    title: "cpg_send_message retried N times",
    patterns: [/cpg_send_message retried/, /cpg_send_message failed/],
    meaning:
      "corosync did not take a message at once, because the cluster's token goes round too " +
      "slowly or not at all. pmxcfs tries again up to 100 times, 100 ms apart, and everybody " +
      "waits.",
    causes: [
      { code: "CPG_RETRIES", tell: "`corosync-cfgtool -s`, and [TOTEM] lines of corosync" },
      { code: "NO_QUORUM", tell: "`pvecm status`" },
    ],
  },
  {
    id: "status-update-time",
    title: "status update time (12.3 seconds)",
    patterns: [/status update time/],
    meaning:
      "pvestatd needed longer than 5 s for a round of status values. Until it is done, the GUI " +
      "shows old values or grey question marks.",
    causes: [
      { code: "CLIENTS_STUCK", tell: "a hung storage: `ps axo stat,comm | grep ^D`" },
      { code: "RRDCACHED_HUNG", tell: "`pmxcfs-ipc --check --only rrd`" },
      { code: "LATENCY_HIGH", tell: "`pmxcfs-ipc --check --only latency`" },
      { code: "MEMORY_PRESSURE", tell: "/proc/pressure/memory" },
    ],
  },
  {
    id: "service-failed",
    title: "pve-cluster.service failed",
    patterns: [
      /pve-cluster\.service.*(failed|exit)/,
      /failed to start .*(pve-cluster|proxmox ve cluster)/,
      /job for pve-cluster\.service/,
      /dependency failed for .*(pve|proxmox)/,
    ],
    meaning:
      "pmxcfs ended at its start. Everything else of PVE depends on it; fix this first. Its own " +
      "last lines say why: journalctl -b -u pve-cluster.",
    causes: [
      { code: "NAME_LOOPBACK", tell: "Unable to resolve node name" },
      { code: "DB_CORRUPT", tell: "memdb_open failed" },
      { code: "DB_LOCKED_BY_OTHER", tell: "unable to acquire pmxcfs lock" },
      { code: "PVE_NOT_EMPTY", tell: "fuse: mountpoint is not empty" },
      { code: "FUSE_MISSING", tell: "fuse: device not found" },
      { code: "GROUP_MISSING", tell: "Unable to get www-data group ID" },
    ],
  },
  {
    id: "www-data-group",
    title: "Unable to get www-data group ID",
    patterns: [/unable to get www-data group/],
    meaning: "pmxcfs gives its files to group www-data and ends when there is none.",
    causes: [{ code: "GROUP_MISSING", tell: "`getent group www-data` prints nothing" }],
  },
  {
    id: "mountpoint",
    title: "fuse: mountpoint is not empty / device not found",
    patterns: [/mountpoint is not empty/, /fuse_mount error/, /fuse: device not found/],
    meaning: "pmxcfs could not mount /etc/pve and ended.",
    causes: [
      {
        code: "PVE_NOT_EMPTY",
        tell: "files in /etc/pve while nothing is mounted",
        signs: /empty|exists/,
      },
      { code: "FUSE_MISSING", tell: "/dev/fuse is missing", signs: /device|no such file/ },
      { code: "PVE_DEAD_MOUNT", tell: "`grep /etc/pve /proc/mounts` while no pmxcfs runs" },
    ],
  },
  {
    id: "address-in-use",
    title: "Could not bind AF_UNIX (): Address already in use",
    patterns: [/could not bind af_unix/, /address already in use/],
    meaning:
      "Another process has the socket. pmxcfs goes on without IPC: /etc/pve is mounted, and " +
      "every command fails.",
    causes: [{ code: "SOCKET_TAKEN", tell: "`pmxcfs-ipc --check --only listener` as root" }],
  },
  {
    id: "bad-user",
    title: "connection from bad user 1000! - rejected",
    patterns: [/connection from bad user/],
    meaning:
      "The server's side of Unknown error -1. It names the uid only, which misleads when it is " +
      "0: then the gid is at fault.",
    causes: [
      { code: "ACCESS_REFUSED_GID", tell: "the user is 0", signs: /user 0\b/ },
      { code: "ACCESS_REFUSED_UID", tell: "the user is not 0" },
    ],
  },
  {
    id: "response-send",
    title: "qb_ipcs_response_send: ...",
    patterns: [/qb_ipcs_response_send/],
    meaning:
      "The server had an answer and could not put it into the client's ring: it was too large, " +
      "or the client was gone. It then disconnects, and the client prints Transport endpoint is " +
      "not connected.",
    causes: [
      { code: "REPLY_TOO_LARGE", tell: "again and again: `pmxcfs-ipc --check --only requests`" },
      { text: "The client ended while it was served.", tell: "once, and nobody complains" },
    ],
  },
  {
    id: "rrd-update",
    title: "RRD update error / RRD create error",
    patterns: [/rrdc?d? (update|create) error/, /rrd_update|rrdc_update/],
    meaning: "Graph data could not be written. Answers of the IPC are not affected.",
    causes: [
      { code: "RRDCACHED_ABSENT", tell: "`systemctl status rrdcached`" },
      { code: "RRD_OLD_FORMAT", tell: "after an upgrade to PVE 9, until all nodes are upgraded" },
      {
        code: "CLOCK_BACKWARDS",
        tell: 'it says "illegal attempt to update"',
        signs: /illegal attempt/,
      },
      {
        text: "/var/lib/rrdcached/db is missing or cannot be written.",
        tell: 'it says "Cannot create temporary file" or "No such file"',
        signs: /temporary file|no such file/,
      },
    ],
  },
  {
    id: "corosync-connect",
    title: "quorum_initialize failed: CS_ERR_LIBRARY",
    patterns: [/(quorum|cmap|cpg)_initialize failed/, /can't initialize service/],
    meaning:
      "pmxcfs cannot reach corosync and tries again every few seconds. Until it can, there is no " +
      "quorum.",
    causes: [
      { code: "NO_QUORUM", tell: "`systemctl status corosync`" },
      {
        text: "A new cluster without corosync.conf, or corosync is stopped.",
        tell: "`systemctl start corosync; journalctl -u corosync -n 30`",
      },
    ],
  },
  {
    id: "empty-after-rename",
    title: "(no text: /etc/pve seems empty, guests are gone after a rename)",
    patterns: [
      /(guests?|vms?|configs?|containers?).*(gone|missing|disappeared)/,
      /no such (vm|ct)\b/,
      /configuration file '?nodes\/.*does not exist/,
    ],
    meaning:
      "Guests belong to a node by name: after the host was renamed they still lie under the old " +
      "name.",
    causes: [
      { code: "NODE_DIRECTORY_MISSING", tell: "`ls /etc/pve/nodes`" },
      { code: "NODENAME_DIFFERS", tell: "`pmxcfs-ipc call get-cluster-info`" },
      { code: "PVE_NOT_MOUNTED", tell: "`findmnt /etc/pve` prints nothing" },
    ],
  },
];
