/**
 * Lines as people paste them, from public reports (addresses, names and numbers replaced), each
 * with the entry of `explain` that is right for it; undefined where nothing should be known.
 */

/** Lines of public reports; and those of two further collections, half of each judged unseen. */
const LINE_FILES = ["reported-lines.tsv", "field-lines.tsv"] as const;

/**
 * More of them, one a line: an entry of `explain` (or - where nothing should be known), a
 * tabulator, and the line as it was pasted.
 */
export async function reportedLines(): Promise<[line: string, id: string | undefined][]> {
  const texts = await Promise.all(
    LINE_FILES.map((name) => Bun.file(`${import.meta.dir}/${name}`).text()),
  );
  const rows = texts.flatMap((text) => text.trimEnd().split("\n").slice(1));
  return rows.map((row) => {
    const [id = "", line = ""] = row.split("\t");
    return [line, id === "-" ? undefined : id];
  });
}

export const ERROR_LINES: readonly (readonly [line: string, id: string | undefined])[] = [
  // Clients of the IPC.
  ["ipcc_send_rec[1] failed: Unknown error -1", "unknown-error"],
  ["Unable to load access control list: Unknown error -1", "unknown-error"],
  ["Error: creating custom disk: ipcc_send_rec[1] failed: Unknown error -1", "unknown-error"],
  ["pvesh: ipcc_send_rec[2] failed: Connection refused", "connection-refused"],
  ["pvestatd[1320]: ipcc_send_rec[4] failed: Connection refused", "connection-refused"],
  ["ipcc_send_rec failed: Transport endpoint is not connected", "not-connected"],
  ["pveproxy[2211]: ipcc_send_rec[1] failed: Transport endpoint is not connected", "not-connected"],
  ["Unable to load access control list: Connection refused", "connection-refused"],
  ["Unable to load access control list: malformed JSON string at /usr/share/perl5", "acl-list"],
  ["ipcc_send_rec[10] failed: No buffer space available", "no-buffer-space"],
  ["pvestatd[991]: ipcc_send_rec[4] failed: File too large", "file-too-large"],
  ["ipcc_send_rec[1] failed: No space left on device", "no-space"],
  ["ipcc_send_rec[6] failed: Operation not permitted", "operation-not-permitted"],
  ["ipcc_send_rec[1] failed: Permission denied", "permission-denied"],
  ["ipcc_send_rec[3] failed: Bad file descriptor", "bad-descriptor"],
  ["ipcc_send_rec[1] failed: Resource temporarily unavailable", "resource-unavailable"],
  ["ipcc_send_rec[6] failed: No such file or directory", "no-such-entry"],
  [
    "pvedaemon[1102]: writing cluster log failed: ipcc_send_rec[7] failed: Invalid argument",
    "invalid-argument",
  ],
  ["ipcc_send_rec[1] failed: Too many open files", "descriptors"],
  ["ipcc_send_rec[2] failed: Connection timed out", "ipc-timeout"],
  ["ipcc_send_rec[1] failed: Is a directory", "ipc-other-error"],
  ["ipcc_send_rec[1] failed: Level 2 not synchronized", "ipc-other-error"],
  ["Connection refused", "connection-refused"],
  ["ipcc_send_rec[1] failed: errno 111", "connection-refused"],
  // The same in other languages.
  ["ipcc_send_rec[1] failed: Unbekannter Fehler -1", "unknown-error"],
  ["ipcc_send_rec[1] failed: Verbindungsaufbau abgelehnt", "connection-refused"],
  ["ipcc_send_rec[1] failed: Connexion refusée", "connection-refused"],
  ["ipcc_send_rec[2] failed: Erreur inconnue -1", "unknown-error"],
  ["ipcc_send_rec[1] failed: Conexión rehusada", "connection-refused"],
  ["ipcc_send_rec[1] failed: Connessione rifiutata", "connection-refused"],
  ["ipcc_send_rec[3] failed: Conexão recusada", "connection-refused"],
  ["ipcc_send_rec[1] failed: Verbinding is geweigerd", "connection-refused"],
  ["ipcc_send_rec[1] failed: Połączenie odrzucone", "connection-refused"],
  ["ipcc_send_rec[1] failed: В соединении отказано", "connection-refused"],
  ["ipcc_send_rec[1] failed: Неизвестная ошибка -1", "unknown-error"],
  ["ipcc_send_rec[1] failed: 拒绝连接", "connection-refused"],
  ["ipcc_send_rec[1] failed: 接続を拒否されました", "connection-refused"],
  ["ls: Zugriff auf '/etc/pve' nicht möglich: Der Socket ist nicht verbunden", "not-connected"],
  // /etc/pve.
  ["ls: cannot access '/etc/pve': Transport endpoint is not connected", "not-connected"],
  ["-bash: cd: /etc/pve: Transport endpoint is not connected", "not-connected"],
  ["df: /etc/pve: Transport endpoint is not connected", "not-connected"],
  ["fuse: bad mount point `/etc/pve': Transport endpoint is not connected", "not-connected"],
  [
    "unable to open file '/etc/pve/nodes/pve1/qemu-server/100.conf.tmp.2217' - Input/output error",
    "commit-failed",
  ],
  [
    "unable to open file '/etc/pve/nodes/pve2/qemu-server/100.conf.tmp.2045' - Permission denied (500)",
    "permission-denied",
  ],
  ["unable to open file '/etc/pve/ceph.conf.tmp.12688' - Permission denied", "permission-denied"],
  ["touch: cannot touch '/etc/pve/x': Read-only file system", "read-only-file-system"],
  ["cp: error writing '/etc/pve/big.iso': File too large", "file-too-large"],
  ["cp: error writing '/etc/pve/x': No space left on device", "no-space"],
  [
    'rsync: chown "/etc/pve/storage.cfg" failed: Operation not permitted (1)',
    "operation-not-permitted",
  ],
  [
    "hostfile_replace_entries: link /etc/pve/priv/known_hosts to /etc/pve/priv/known_hosts.old: Operation not permitted",
    "operation-not-permitted",
  ],
  [
    "unable to open file '/etc/pve/nodes/pve1/lxc/101.conf.tmp.913' - No such file or directory",
    "not-mounted",
  ],
  ["pve configuration filesystem not mounted", "not-mounted"],
  ["cluster filesystem not ready", "not-mounted"],
  ["Proxmox config filesystem is unavailable at /etc/pve/nodes", "not-mounted"],
  [
    "/etc/pve/local/pve-ssl.key: failed to load local private key (key_file or key) at /usr/share/perl5/PVE/APIServer/AnyEvent.pm line 1899.",
    "proxy-key",
  ],
  ["unable to create VM 100 - VM 100 already exists on node 'pve2'", "guest-exists"],
  ["Configuration file 'nodes/pve1/qemu-server/100.conf' does not exist", "empty-after-rename"],
  ["unable to find configuration file for VM 100 on node 'pve'", "empty-after-rename"],
  ["no such VM ('104') (500)", "empty-after-rename"],
  // The server and its service.
  [
    "pmxcfs[1486]: [main] crit: Unable to resolve node name 'pve1' to a non-loopback IP address - missing entry in '/etc/hosts' or DNS?",
    "node-name",
  ],
  ["pmxcfs[12300]: [main] crit: Unable to get local IP address", "node-name"],
  ["[main] crit: unable to acquire pmxcfs lock: Resource temporarily unavailable", "pmxcfs-lock"],
  [
    "[main] crit: unable to create lock '/var/lib/pve-cluster/.pmxcfs.lockfile': Read-only file system",
    "pmxcfs-lock",
  ],
  [
    "pmxcfs[1012]: [database] crit: commit transaction failed: database or disk is full#010",
    "commit-failed",
  ],
  ["[database] crit: unable to set WAL mode: file is not a database#010", "memdb-open"],
  ["[database] crit: unable to set WAL mode: database is locked#010", "memdb-open"],
  ["[database] crit: splite3_open_v2 failed: 14#010", "memdb-open"],
  [
    "[main] crit: memdb_open failed - unable to open database '/var/lib/pve-cluster/config.db'",
    "memdb-open",
  ],
  ["[database] crit: select returned error: database disk image is malformed", "memdb-open"],
  ["[database] crit: missing directory inode (inode = 0000000000001E61)", "memdb-open"],
  ["[database] crit: inode has unknown type (inode = 000000000000001A, type = 0)", "memdb-open"],
  ["[database] crit: directory inode contains data (inode = 000000000000001A)", "memdb-open"],
  ["[database] crit: root inode has unexpected name 'x'", "memdb-open"],
  ["[status] crit: detected duplicate VMID 100", "memdb-open"],
  [
    "[memdb] crit: new index does not match master index - internal error - the leader's tree is refused",
    "leader-refused",
  ],
  [
    "[memdb] crit: missing directory inode (inode = 0000000000000383) - the leader's tree is refused",
    "leader-refused",
  ],
  ["[main] crit: wrong lock csum - reset timeout", "lock-changed"],
  ["[memdb] crit: wrong lock csum - reset timeout (priv/lock/file-x)", "lock-changed"],
  ["[database] crit: DB load failed", "memdb-open"],
  ["Error: database disk image is malformed", "memdb-open"],
  ["[main] crit: Unable to get www-data group ID", "www-data-group"],
  ["fuse: mountpoint is not empty", "mountpoint"],
  ["[main] crit: fuse_mount error: File exists", "mountpoint"],
  ["fuse: device not found, try 'modprobe fuse' first", "mountpoint"],
  ["umount: /etc/pve: target is busy.", "mountpoint"],
  ["[libqb] error: Could not bind AF_UNIX (): Address already in use (98)", "address-in-use"],
  ["[ipcs] crit: connection from bad user 1000! - rejected", "bad-user"],
  ["pmxcfs[1102]: [libqb] warning: epoll_ctl(del): Bad file descriptor (9)", "client-gone"],
  [
    "[libqb] error: new_event_notification (/dev/shm/qb-1-2-3-x/qb): Broken pipe (32)",
    "client-gone",
  ],
  ["[ipcs] error: qb_ipcs_response_send: Message too long", "response-send"],
  [
    "couldn't allocate file /dev/shm/qb-872-1203-28-ab12cd/qb-request-pve2-data: No space left on device (28)",
    "no-space",
  ],
  [
    "kernel: Out of memory: Killed process 1102 (pmxcfs) total-vm:812340kB, anon-rss:500000kB",
    "server-killed",
  ],
  [
    "kernel: pmxcfs[3456]: segfault at 0 ip 00005567 sp 00007ffc error 4 in pmxcfs[5567+12000]",
    "server-killed",
  ],
  [
    "systemd[1]: pve-cluster.service: Main process exited, code=killed, status=11/SEGV",
    "server-killed",
  ],
  ["systemd[1]: pve-cluster.service: Failed with result 'oom-kill'.", "server-killed"],
  ["systemd[1]: pve-cluster.service: Start request repeated too quickly.", "service-failed"],
  ["pve-cluster.service: Scheduled restart job, restart counter is at 5.", "service-failed"],
  ["pve-cluster.service: State 'stop-sigterm' timed out. Killing.", "service-failed"],
  [
    "pve-cluster.service: Control process exited, code=exited, status=255/EXCEPTION",
    "service-failed",
  ],
  ["Failed to start pve-cluster.service - The Proxmox VE cluster filesystem.", "service-failed"],
  ["Dependency failed for pveproxy.service - PVE API Proxy Server.", "service-failed"],
  [
    "Job for pve-cluster.service failed because the control process exited with error code.",
    "service-failed",
  ],
  ["Failed to restart pve-cluster.service: Unit pve-cluster.service is masked.", "service-failed"],
  ["[main] notice: exit proxmox configuration filesystem (-1)", "service-failed"],
  ["kernel: INFO: task pmxcfs:1102 blocked for more than 120 seconds.", "hang"],
  // The cluster.
  ["cluster not ready - no quorum? (500)", "no-quorum"],
  ["TASK ERROR: cluster not ready - no quorum?", "no-quorum"],
  ["[status] notice: node lost quorum", "no-quorum"],
  [
    "corosync[929]: [QUORUM] This node is within the non-primary component and will NOT provide any services.",
    "no-quorum",
  ],
  ["[dcdb] crit: received write while not quorate - trigger resync", "no-quorum"],
  ["Quorum:           2 Activity blocked", "no-quorum"],
  ["Quorate:          No", "no-quorum"],
  [
    "pvescheduler[2111]: replication: cfs-lock 'file-replication_cfg' error: no quorum!",
    "no-quorum",
  ],
  ["pmxcfs[1892]: [status] notice: cpg_send_message retry 80", "cpg-retried"],
  ["[dcdb] notice: cpg_send_message retried 25 times", "cpg-retried"],
  ["[status] crit: cpg_send_message failed: 6", "cpg-retried"],
  ["pmxcfs[871]: [dcdb] crit: cpg_join failed: CS_ERR_EXIST", "cpg-join"],
  ["pmxcfs[929]: [dcdb] crit: leaving CPG group", "cpg-join"],
  ["[dcdb] notice: waiting for updates from leader", "sync-waiting"],
  ["[dcdb] notice: queue not emtpy - resening 3 messages", "sync-waiting"],
  [
    "[quorum] crit: quorum_initialize failed: CS_ERR_LIBRARY (failed to connect to corosync)",
    "corosync-connect",
  ],
  ["pmxcfs[1438]: [quorum] crit: quorum_dispatch failed: CS_ERR_LIBRARY", "corosync-connect"],
  ["[dcdb] crit: cpg_dispatch failed: 2", "corosync-connect"],
  ["[confdb] crit: cmap_initialize failed: 2", "corosync-connect"],
  ["Cannot initialize CMAP service", "corosync-connect"],
  ["[quorum] crit: can't initialize service", "corosync-connect"],
  ["corosync.service: Failed with result 'exit-code'.", "corosync-connect"],
  ["corosync[1321]: [KNET  ] link: host: 2 link: 0 is down", "corosync-links"],
  ["corosync[1543]:   [KNET  ] host: host: 5 has no active links", "corosync-links"],
  ["corosync[1321]: [TOTEM ] Token has not been received in 2781 ms", "corosync-links"],
  ["corosync[1321]: [TOTEM ] Retransmit List: 12 13 14", "corosync-links"],
  [
    "corosync: [TOTEM] A processor failed, forming new configuration: token timed out (3125ms)",
    "corosync-links",
  ],
  ["[TOTEM ] Process pause detected for 4012 ms, flushing membership messages.", "corosync-links"],
  ["pmxcfs[1]: [status] crit: local corosync.conf is newer", "corosync-conf"],
  ["[dcdb] crit: unable to parse cluster config_version", "corosync-conf"],
  ["* authentication key '/etc/corosync/authkey' already exists", "join-refused"],
  ["* this host already contains virtual guests", "join-refused"],
  [
    "update storage failed: cfs-lock 'file-storage_cfg' error: got lock request timeout (500)",
    "lock-timeout",
  ],
  [
    "TASK ERROR: clone failed: cfs-lock 'storage-ceph-pool' error: got lock request timeout",
    "lock-timeout",
  ],
  ["trying to acquire cfs lock 'storage-nfs' ...", "lock-timeout"],
  ["cfs-lock 'file-storage_cfg' error: pve cluster filesystem not online", "not-mounted"],
  [
    "pve-ha-lrm[1278]: lost lock 'ha_agent_pve1_lock - cfs lock update failed - Operation not permitted",
    "ha-lost-lock",
  ],
  [
    "pve-ha-crm[1251]: ERROR: unable to open watchdog socket - No such file or directory",
    "ha-lost-lock",
  ],
  ["watchdog-mux[801]: client watchdog expired - disable watchdog updates", "ha-lost-lock"],
  ["pvestatd[1234]: status update time (12.3 seconds)", "status-update-time"],
  ["[dcdb] notice: data verification successful", "cluster-normal"],
  // Beside pmxcfs.
  ["rrdcached[875]: handle_request_update: Could not read RRD file.", "rrd-file"],
  [
    "rrdcached[875]: mmaping file '/var/lib/rrdcached/db/pve2-node/pve1': Invalid argument",
    "rrd-file",
  ],
  [
    "pmxcfs[895]: [status] notice: RRDC update error /var/lib/rrdcached/db/pve2-storage/pve1/local: -1",
    "rrd-file",
  ],
  ["RRD error: Unable to connect to rrdcached: Connection refused", "rrd-update"],
  [
    "[status] notice: RRD update error /var/lib/rrdcached/db/pve2-vm/100: illegal attempt to update using time 1700000000 when last update time is 1700000100 (minimum one second step)",
    "rrd-update",
  ],
  [
    "pveproxy[1800]: authentication failure; rhost=::ffff:192.0.2.9 user=mon@pve!exporter msg=invalid token value!",
    "token",
  ],
  ["permission denied - invalid PVE ticket (401)", "ticket"],
  ["595 Errors during connection establishment, proxy handshake: Connection refused", "other-node"],
  [
    "hostname lookup 'pve2' failed - failed to get address info for: pve2: Name or service not known",
    "other-node",
  ],
  ["tls_process_server_certificate: certificate verify failed (596)", "other-node"],
  [
    "pvestatd[1122]: pbs: error fetching datastores - 500 Can't connect to 192.0.2.5:8007 (Connection refused)",
    "backup-server",
  ],
  ["storage 'nas' is not online", "storage-offline"],
  ["mount: /snap: mount failed: Unknown error -1.", "storage-offline"],
  ["mount.nfs: Connection refused", "storage-offline"],
  ["TASK ERROR: VM 100 qmp command 'query-status' failed - got timeout", "guest-agent"],
  ["can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout", "guest-lock"],
  ["VM is locked (backup)", "guest-lock"],
  ["Host key verification failed.", "ssh"],
  ["root@192.0.2.3: Permission denied (publickey,password).", "ssh"],
  ["ssh: connect to host 192.0.2.4 port 22: Connection refused", "ssh"],
  [
    "curl: (7) Failed to connect to 192.0.2.1 port 443 after 0 ms: Connection refused",
    "network-client",
  ],
  [
    "pveproxy[25779]: got inotify poll request in wrong process - disabling inotify",
    "harmless-inotify",
  ],
  ["pveproxy[1300]: proxy detected vanished client connection", "harmless-client"],
  ["tar: /etc/pve/.rrd: file changed as we read it", "harmless-client"],
  ["pveproxy.service: Failed with result 'exit-code'.", "daemon-failed"],
  ["-bash: pmxcfs: command not found", "not-installed"],
  ["Connection error 595: Connection refused", "other-node"],
  ["communication failure (0)", "other-node"],
  ["pvestatd[1300]: got timeout", "status-update-time"],
  ["pvestatd[1300]: status update error: Connection refused", "connection-refused"],
  ["pve-ha-crm[1200]: status change slave => wait_for_quorum", "no-quorum"],
  [
    "corosync[911]: error: [MAIN  ] Corosync Cluster Engine exiting with status 8",
    "corosync-connect",
  ],
  [
    "ln: failed to create symbolic link '/etc/pve/x': Function not implemented",
    "operation-not-permitted",
  ],
  ["ls: reading directory '/etc/pve': Software caused connection abort", "not-connected"],
  ["'/etc/pve/nodes/pve2/pve-ssl.pem' does not exist!", "proxy-key"],
  ["[main] crit: fuse_mount error: Transport endpoint is not connected", "mountpoint"],
  ["Unable to load access control list: Connection refused (500)", "connection-refused"],
  // Libc words of others, and nothing at all.
  ["mysqld[812]: Can't connect: Connection refused", undefined],
  ["cat: /etc/shadow: Permission denied", undefined],
  ["apt: E: Could not open lock file - open (13: Permission denied)", undefined],
  ["kernel: usb 1-1: device descriptor read/64, error -110", undefined],
  ["pvestatd[1234]: modified cpu set for lxc/101: 0-3", undefined],
  ["everything is fine, thank you", undefined],
  ["pveproxy[2201]: connect to 'pve2:5900' failed: Connection refused", "console-connect"],
  ["corosync[1130]: [MAIN  ] temp_key: failed, res: 2, nodeid: 1", "corosync-log"],
  // Of a third collection, written before they were tried.
  [
    "corosync[1303]: [MAIN  ] Could only read 64 bits of 1024 minimum bits from /etc/corosync/authkey.",
    "corosync-authkey",
  ],
  [
    "corosync[1303]: [MAIN  ] Node IP address 192.0.2.1 does not exist on this host",
    "corosync-own-link",
  ],
  ["corosync[1303]: [VOTEQ ] Unable to determine local node id", "corosync-own-link"],
  ["corosync[1303]: [MAIN  ] Failed to load ring id file", "corosync-ring-id"],
  [
    "corosync[1303]: [KNET  ] common: crypto_nss.so has been loaded from /usr/lib/kronosnet/x.so",
    "corosync-detail",
  ],
  ["pve-ha-lrm[1601]: reboot LRM, stop and freeze all services", "ha-stop"],
  [
    "pve-ha-crm[1590]: service 'vm:101': state changed from 'started' to 'migrate'  (node = pve1, target = pve2)",
    "ha-stop",
  ],
  [
    "systemd[1]: Dependency failed for corosync.service - Corosync Cluster Engine.",
    "unit-dependency",
  ],
  ["systemd[1]: Dependency failed for /mnt/data.", undefined],
  ["systemd[1]: pve-ha-lrm.service: Watchdog timeout (limit 1min)!", "unit-watchdog"],
  ["systemd[1]: corosync.service: Watchdog timeout (limit 1min)!", "unit-watchdog"],
  ["pveproxy[2110]: ssl3_read_bytes: ssl/tls alert certificate unknown", "tls-alert"],
  [
    "pvestatd[1411]: closing with read buffer at /usr/share/perl5/IO/Multiplex.pm line 927.",
    "qmp-closed",
  ],
  ["No 'set' handler defined for '/nodes'", "pvesh-method"],
  [
    "pveproxy[2110]: unable to write '/var/log/pveproxy/access.log': No space left on device",
    "log-disk-full",
  ],
  // Our own server.
  [
    "pmxcfs[1012]: [database] crit: /var/lib/pve-cluster/config.db was removed while it is served. What is served, and every change from now on, goes to /var/lib/pve-cluster/config.db.replaced-20261127T101010Z; the new file is read at the next start",
    "db-replaced",
  ],
  [
    "pmxcfs[1012]: [database] crit: /var/lib/pve-cluster/config.db was overwritten while it is served. What is served, and every change from now on, goes to /var/lib/pve-cluster/config.db.replaced-20261127T101010Z; the new file is read at the next start",
    "db-replaced",
  ],
  [
    "pmxcfs-ipc[7]: /var/lib/pve-cluster/config.db: config.db.changes does not belong to this database (it continues version 5, and the database has version 9): its 1 change, to storage.cfg, are kept in /var/lib/pve-cluster/config.db.changes.set-aside-20261127T101010Z",
    "changes-lost",
  ],
  [
    "pmxcfs-ipc[7]: /var/lib/pve-cluster/config.db-wal has 17.0 MiB: pid 44 (sqlite3) keeps a transaction open, so it cannot be emptied; end that transaction",
    "wal-kept",
  ],
  [
    "pmxcfs-ipc[7]: config.db.changes: a change was not written (ENOSPC: no space left on device, write): EIO; the next changes are tried again",
    "commit-failed",
  ],
];
