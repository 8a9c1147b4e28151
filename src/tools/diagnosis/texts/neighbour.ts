/**
 * Error texts of other software on a node: graphs, certificates, logins, storages, guests, other
 * hosts. Their lines end in the same libc texts, with other causes.
 */
import type { ErrorText } from "../error-text.ts";

export const NEIGHBOUR_TEXTS: readonly ErrorText[] = [
  {
    id: "rrd-file",
    title: "rrdcached: Could not read RRD file / mmaping file: Invalid argument",
    patterns: [
      /could not read rrd file/,
      /mmaping file '?\S*\.?rrd|mmaping file '?\/var\/lib\/rrdcached/,
      /is not an rrd file|not an rrd|\/rrdcached\/db\/\S+ is (truncated|corrupt)/,
      /rrd file .*(corrupt|truncated|damaged)|this rrd was created on another/,
      /rrdc? ?update error .*: -1\b/,
    ],
    meaning:
      "One RRD file below /var/lib/rrdcached/db is empty or damaged, most often after a power " +
      "loss. Only the graph of that node, guest or storage is affected.",
    causes: [
      {
        text:
          "The file is damaged: stop rrdcached, move that file away, start rrdcached. The file " +
          "is created again within a minute. `find /var/lib/rrdcached/db -size 0` lists empty " +
          "files.",
        check: "the same path in each line",
      },
      { code: "DB_DISK_LOW", check: "`df /var/lib/rrdcached` is full" },
    ],
  },
  {
    id: "rrd-update",
    title: "RRD update error / RRD create error",
    patterns: [
      /rrdc?d? (update|create) error/,
      /rrd_update|rrdc_update/,
      /rrd error: |no ds called '|got wrong time resolution/,
      /rrd error: .*rrdcached/,
      /unable to connect to rrdcached/,
      /rrdcached\.(sock|service).*(no such file|refused|failed|exited|timed out)/,
      /rrdcached(\[\d+\])?: .*(assertion|error|fail|cannot|can't|unable|denied|no space)/,
      /\[status\] notice: (could not|unable to|failed to|can't) (create|open|update)/,
      /illegal attempt to update|rrdcached\[\d+\]: \w+: (fopen|open|mkdir|stat)/,
    ],
    meaning: "Graph data could not be written or read. Answers of the IPC are not affected.",
    causes: [
      { code: "RRDCACHED_ABSENT", check: "`systemctl status rrdcached`" },
      { code: "RRD_OLD_FORMAT", check: "after an upgrade to PVE 9, until all nodes are upgraded" },
      {
        code: "CLOCK_BACKWARDS",
        check: 'the line says "illegal attempt to update"',
        signs: /illegal attempt/,
      },
      {
        text: "/var/lib/rrdcached (db, journal) is missing or cannot be written.",
        check: "`ls -ld /var/lib/rrdcached/db`, `df /var/lib/rrdcached`",
        signs: /temporary file|no such file|directory|denied|space|fopen|journal/,
      },
      {
        text:
          "The file has the step or the columns of another version of PVE, or a program requests " +
          "ones that it does not have.",
        check: "the line names a time resolution or a DS: `rrdtool info FILE | grep -E 'step|ds'`",
        signs: /resolution|no ds/,
      },
    ],
  },
  {
    id: "proxy-key",
    kind: "symptom",
    title: "/etc/pve/local/pve-ssl.key: failed to load local private key",
    patterns: [
      /failed to load local private key/,
      /failed to use local certificate chain/,
      /can't open '\/etc\/pve\/local\/pve\S*-ssl/,
      /pve-ssl\.(key|pem).*(no such|failed|not found|cannot|can't|missing)/,
      /(cannot|can't|unable to) (open|read|load) .*pve-ssl/,
      /key values mismatch/,
      /(pve|pveproxy)-ssl\.(key|pem).*(does not match|expired|not yet valid)/,
      /(unable to|can't|failed to) (generate|create|write|sign|load) .*(certificate|root ca)/,
      /(unable to|can't|failed to) (generate|create|write|sign|load) .*((ssl|ca|private|www) key)/,
      /generating \S+ (root |node )?(certificate|key) failed|no authentication key available/,
      /pve-root-ca\.(key|pem|srl).*(no such|failed|cannot|can't|denied|unable)/,
      /pve-ssl\.(key|pem)'? does not exist/,
    ],
    meaning:
      "pveproxy could not read its key below /etc/pve/local. Usually /etc/pve is not mounted, or " +
      "the target of that link does not exist because the node was renamed; otherwise the key " +
      "itself is at fault.",
    causes: [
      { code: "SOCKET_ABSENT", check: "`findmnt /etc/pve` prints nothing: pve-cluster first" },
      { code: "NODE_DIRECTORY_MISSING", check: "`ls -l /etc/pve/local/` says No such file" },
      {
        text: "pveproxy runs as www-data: /etc/pve/local is another file system, or not mounted.",
        check: "`ls -l /etc/pve/local/` shows no group www-data",
        signs: /permission denied/,
      },
      {
        text: "Key and certificate do not match: `pvecm updatecerts --force`.",
        check: "`ls -l /etc/pve/local/` shows both",
        signs: /mismatch|chain/,
      },
      { code: "NODE_KEYS_MISSING", check: "/etc/pve/local is there, pve-ssl.key is not" },
    ],
  },
  {
    id: "token",
    title: "authentication failure; user=...!token msg=invalid token value!",
    patterns: [
      /invalid token value!/,
      /no such token '|no such token\b/,
      /user=\S+!\S+ msg=/,
      /token '?\S+!\S+'? .*(expired|invalid|not exist)/,
    ],
    meaning:
      "VERIFY_TOKEN found no such line in /etc/pve/priv/token.cfg: the value is wrong, or the " +
      "token was removed. The whole line is compared, with a carriage return or blank at its end.",
    causes: [
      {
        text: "The client has another secret than the token: create a new token.",
        check: "`pveum user token list USER@REALM`",
      },
      {
        text: "token.cfg was edited by hand: CRLF or blanks at the ends of lines.",
        check: "`cat -A /etc/pve/priv/token.cfg | head` as root",
      },
    ],
  },
  {
    id: "ticket",
    title: "permission denied - invalid PVE ticket (401)",
    patterns: [
      /invalid pve\S*( vnc)? ?ticket|authentication key pair generation failed/,
      /\bno ticket$|\b401 no ticket|no such user \('/,
      /invalid csrf|permission denied - invalid csrf/,
      /authentication failure \(401\)|^login failed\b/,
      /authentication failure; rhost=(?!.*token)/,
      /^(?!\w+: '?\/etc)(?!.*corosync).*authkey(?!\S*\.tmp)\S* .*(denied|failed|error|no such)/,
    ],
    meaning:
      "The ticket is older than 2 hours, or the clocks of two nodes differ, or the key that " +
      "verifies tickets (/etc/pve/authkey.pub) has changed. The IPC is not involved.",
    causes: [
      {
        text: "The password is wrong, or the login has expired: log in again.",
        check: "only one browser gets it",
      },
      { code: "CLOCK_BACKWARDS", check: "`timedatectl` on both nodes" },
      {
        code: "NO_QUORUM",
        check: "the line says that authkey could not be renewed",
        signs: /authkey/,
      },
    ],
  },
  {
    id: "empty-after-rename",
    kind: "symptom",
    title: "Configuration file ... does not exist / guests are gone after a rename",
    patterns: [
      /\b(guests?|vms?) (are |is |have |has |were |seem )?(all )?(gone|missing)\b/,
      /\b(guests?|vms?) (are |is |have |has |were |seem )?(all )?(disappeared|vanished)\b/,
      /\b(containers?|configs?) (are |is |have |has |were |seem )?(all )?(gone|missing)\b/,
      /\b(containers?) (are |is |have |has |were |seem )?(all )?(disappeared|vanished)\b/,
      /\b(configs?) (are |is |have |has |were |seem )?(all )?(disappeared|vanished)\b/,
      /no such (vm|ct)\b/,
      /configuration file '?nodes\/.*does not exist/,
      /unable to find configuration file for (vm|ct)|(vm|ct) '?\d+'? does not exist/,
      /unable to find (vm|ct) '?\d/,
      /\/etc\/pve (is|seems|was) empty/,
    ],
    meaning:
      "The guest is on another node or was removed, or the host was renamed: guests' files are " +
      "below /etc/pve/nodes/NAME, and a rename of the host leaves them under the old name.",
    causes: [
      { code: "NODE_DIRECTORY_MISSING", check: "`ls /etc/pve/nodes`" },
      { code: "NODENAME_DIFFERS", check: "`pmxcfs-ipc call get-cluster-info`" },
      { code: "PVE_NOT_MOUNTED", check: "`findmnt /etc/pve` prints nothing" },
      { code: "DB_NOT_PMXCFS", check: "all files are missing, on one node" },
      {
        text:
          "The number is wrong, or the guest is on another node: `pmxcfs-ipc call " +
          "get-guest-list`.",
        check: "other guests are listed",
      },
    ],
  },
  {
    id: "guest-exists",
    title: "unable to create VM 100 - VM 100 already exists",
    patterns: [
      /(vm|ct|vmid|container) '?\d+'? already exists/,
      /config file ('?\S*\d+\.conf'? )?already exists|unable to create (vm|ct) \d+ - .*exists/,
      /\/etc\/pve\/\S*(qemu-server|lxc)\/\d+\.conf.* file exists/,
      /file exists.*\/etc\/pve\/\S*\d+\.conf/,
    ],
    meaning:
      "A VMID may exist only once in the cluster, on any node, as a VM or as a container: pmxcfs " +
      "answers EEXIST.",
    causes: [
      {
        text: "The VMID is in use on another node or by a guest of the other kind.",
        check: "`pmxcfs-ipc call get-guest-list` names the node",
      },
    ],
  },
  {
    id: "harmless-client",
    kind: "normal",
    title: "proxy detected vanished client connection",
    patterns: [
      /detected vanished client connection|problem with client \S+; /,
      /ev: error in callback \(ignoring\)|push_write' on an undefined value/,
      /\/etc\/pve\/\.\w+: file changed as we read it/,
    ],
    meaning:
      "A browser closed its connection, or a backup read a file that pmxcfs generates (.version, " +
      ".rrd, .clusterlog) and that changed meanwhile. Harmless; exclude these files from backups.",
    causes: [{ text: "Normal operation.", check: "no action is needed" }],
  },
  {
    id: "clock-jump",
    title: "chronyd: System clock was stepped by ... seconds",
    patterns: [/system clock (wrong by|was stepped)|time has been changed|clock change detected/],
    meaning:
      "The clock jumped. Locks, graphs, logins and HA compare times: after a jump forward HA " +
      "sees a long pause; after a jump back locks cannot be refreshed and graphs stop.",
    causes: [{ code: "CLOCK_BACKWARDS", check: "`timedatectl`, `chronyc tracking` on all nodes" }],
  },
  {
    id: "harmless-inotify",
    kind: "normal",
    title: "got inotify poll request in wrong process - disabling inotify",
    patterns: [/inotify poll request in wrong process/],
    meaning: "A forked worker of a PVE daemon used its parent's file watch. Harmless.",
    causes: [{ text: "Normal operation.", check: "no action is needed" }],
  },
  {
    id: "other-node",
    kind: "symptom",
    title: "595/596/599: another node's pveproxy does not answer",
    patterns: [
      /\b59[569] (errors during|broken pipe|connection|no route|tls|ssl|too many|operation)/,
      /errors during connection establishment/,
      /proxy handshake|proxy (detected )?loop|proxy handler failed/,
      /\b(refused|timed out|no route to host|host is unreachable) \(59[5-9]\)/,
      /connection error (- server offline|59[569])|communication failure \(0\)/,
      /hostname lookup '|failed to get address info for: |list of pinned certificates/,
      /can't connect to \S+:8006\b/,
      /(no route to host|connection (refused|timed out|reset by peer)) \((595|596|599)\)/,
      /tls_process_server_certificate|certificate verify failed/,
    ],
    meaning:
      "The node forwarded the request to another node's pveproxy (port 8006), which does not " +
      "answer, is not reachable, or has another certificate. Not a fault of the IPC.",
    causes: [
      {
        text: "That node is down, its pveproxy does not run, or a firewall is in between.",
        check: "`systemctl status pveproxy` there; `curl -k https://NODE:8006` from here",
      },
      { code: "MEMBERS_OFFLINE", check: "`pvecm status`" },
      {
        text: "The name of the node does not resolve here: check /etc/hosts on all nodes.",
        check: "the line says hostname lookup failed",
        signs: /hostname lookup|address info/,
      },
      {
        text: "Its certificate was replaced: `pvecm updatecerts --force` on that node.",
        check: "the line names tls or certificate",
        signs: /tls|certificate|verification/,
      },
    ],
  },
  {
    id: "backup-server",
    title: "error fetching datastores - can't connect to a backup server",
    patterns: [
      /error fetching datastores/,
      /can't connect to \S+:8007/,
      /:8007\b/,
      /proxmox-backup-(client|proxy).*(refused|failed|timed out|error)/,
    ],
    meaning: "A Proxmox Backup Server (port 8007) does not answer. Not a fault of the IPC.",
    causes: [
      {
        text:
          "The backup server is down or not reachable, or its entry in " +
          "storage.cfg is outdated.",
        check: "`pvesm status` names the storage",
      },
    ],
  },
  {
    id: "storage-offline",
    title: "storage '...' is not online / mount error",
    patterns: [
      /storage '?[\w.-]+'? is not (online|active|available)/,
      /(\bmount error|mount failed)/,
      /(mount\.(nfs|cifs)\S*:|mount: (?!\/etc\/pve)\S+:)/,
      /nfs: server \S+ (not responding|ok)/,
      /activating (lv|storage) .*failed|unable to activate storage/,
      /error listing (snapshots|images)|rbd error|iscsiadm: /,
      /stale (nfs )?file handle/,
      /zfs error: |no such pool\b|could not activate storage/,
      /\/mnt\/pve\/\S+.*(no space|denied|stale|error|no such|timed out|unreachable)/,
      /storage '[^']+' does not exist|no such storage\b/,
    ],
    meaning:
      "A storage or a mount does not work. Not a fault of the IPC. But pvestatd waits for it, " +
      "and the GUI shows grey question marks meanwhile.",
    causes: [
      { code: "STATUS_SLOW", check: "`pvesm status` hangs at one storage" },
      { code: "CLIENTS_STUCK", check: "`ps axo pid,stat,comm | awk '$2 ~ /^D/'`" },
    ],
  },
  {
    id: "guest-agent",
    title: "VM 100 qmp command '...' failed - got timeout",
    patterns: [
      /\bqmp (command|socket)/,
      /\bqga command|guest agent (is )?not running|qemu guest agent/,
      /vm \d+ not running/,
    ],
    meaning:
      "The QEMU process of that guest, or the agent in the guest, does not answer. Not a fault " +
      "of pmxcfs.",
    causes: [
      {
        text: "The guest is overloaded, its storage hangs, or it has no agent.",
        check: "`qm status VMID --verbose`; only this guest is affected",
      },
    ],
  },
  {
    id: "guest-lock",
    title: "can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout",
    patterns: [
      /can't lock file '?\/(var|run)\/lock/,
      /(can't|cannot|unable to) (lock file|acquire lock|get exclusive lock)(?!.*(xtables|dpkg))/,
      /lock-\d+\.conf/,
      /(vm|ct)( \d+)? is locked \(\w+|trying to get global lock - waiting/,
    ],
    meaning: "Another task on this node has the lock of that guest. Not a fault of pmxcfs.",
    causes: [
      {
        text:
          "A backup, snapshot or migration of this guest is running, or " +
          "ended without an unlock.",
        check: "the task list of the guest; `qm config VMID | grep lock`",
      },
    ],
  },
  {
    id: "ssh",
    title: "ssh between the nodes fails",
    patterns: [
      /host key verification failed/,
      /permission denied \((publickey|password)/,
      /ssh: connect to host|connect to host \S+ port 22/,
      /remote host identification has changed/,
      /command '(\/usr\/bin\/)?ssh .*failed/,
      /command '?\/usr\/bin\/ssh .*failed/,
      /unable to copy ssh id\b|can't create shared ssh key database/,
      /can't connect to destination address using public key/,
    ],
    meaning:
      "ssh from one node to another failed. Its keys are in /etc/pve/priv/authorized_keys and " +
      "known_hosts. Not a fault of the IPC.",
    causes: [
      {
        text: "The keys of a node have changed: run `pvecm updatecerts` on it, then try again.",
        check: "`ssh -o BatchMode=yes root@NODE true`",
      },
      { code: "PVE_NOT_MOUNTED", check: "`ls /etc/pve/priv` is empty" },
    ],
  },
  {
    id: "network-client",
    title: "a program cannot reach an address and port",
    patterns: [
      /curl: \(\d+\)/,
      /failed to connect to \S+ port \d+/,
      /connect(ion)? to \S+ port \d+/,
      /dial tcp |connect econnrefused \d|\[errno \d+\] connection refused.*port/,
      /(could not|can't|unable to) connect to (?!127\.0\.0\.1:85\b)\S+:\d+/,
      /max retries exceeded with url|newconnectionerror|failed to establish a new connection/,
    ],
    meaning:
      "A network connection failed, not the IPC of this node: the service on that port is down, " +
      "or a firewall is in between.",
    causes: [
      {
        text: "The service on that host and port does not run. For port 8006 it is pveproxy.",
        check: "`ss -ltn` on that host",
      },
    ],
  },
];
