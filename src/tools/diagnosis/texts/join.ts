/** Error texts of forming a cluster: `pvecm create`, `pvecm add`, keys of the nodes. */
import type { ErrorText } from "../error-text.ts";

export const JOIN_TEXTS: readonly ErrorText[] = [
  {
    id: "join-refused",
    title: "pvecm add: this node cannot join",
    patterns: [
      /authentication key '?\/etc\/corosync\/authkey'? already exists/,
      /cluster config '?\/etc\/pve\/corosync\.conf'? already exists/,
      /corosync is already running/,
      /this host already contains virtual guests/,
      /check if node may join a cluster failed/,
      /is already (part of|in) (a |the )?cluster|node .* already defined/,
      /\/etc\/corosync\/authkey'?(:| -) file exists/,
      /no links given but multiple|an error occurred on the cluster node|cluster join aborted/,
      /eof while reading password|establishing api connection with host .*(40\d|fail|error)/,
      /^(?!.*(datastore|:8007)).*hostname verification failed/,
      /fingerprint .*(not verified|mismatch)/,
      /pvecm\.lock|can't join cluster|(join|cluster) api version/,
      /cluster join failed|invalid cluster name|cannot use (ring\d_addr|ip) '/,
      /cluster has \d+ links|corosync: (link|address) |no links and no fallback/,
      /link \d+ specified for new node/,
      /navigate out of \S+ before|cannot delete myself|api version on joining/,
      /get the cluster ip for node/,
      /(key file|cluster config) '[^']*' already exists|authorization key must be generated/,
      /can't (add|join) existing (node|cluster)|node '?\S+'? is already (a )?member/,
      /(can't|cannot) (rsync|copy|fetch|get) (data|files|config)\w* from (host|node|peer)/,
      /(could not|unable to) (rsync|copy|fetch|get) (data|files|config)\w* from (host|node|peer)/,
      /request addition of this node .*(fail|error)/,
      /(unable|failed) to (join|add) (the )?(cluster|node)/,
    ],
    meaning:
      "A node can join only without guests and without files of an earlier cluster, because its " +
      "/etc/pve is replaced by the cluster's.",
    causes: [
      {
        text:
          "The other node's API refused the request: check the password of root@pam, the " +
          "fingerprint, and that --link0 and --link1 are as in the cluster. By ssh instead: " +
          "`pvecm add HOST --use_ssh`.",
        check: "the line names links, a password, a fingerprint, 401 or host name verification",
        signs: /links|password|40\d|verif|fingerprint|aborted|occurred/,
      },
      {
        text:
          "This node has files of an earlier cluster, or guests. Keep a copy first (`pmxcfs-ipc " +
          "config export /root/rescued`), then follow Proxmox's documentation about separating a " +
          "node.",
        check: "the lines above name each obstacle",
      },
    ],
  },
  {
    id: "join-database",
    title: "failed to rename old config database / backup old database failed",
    patterns: [
      /(rename|backup|remove)\w*( of)?( the)? (old|pre-join) (config )?(database|corosync)/,
      /(restore|delete|unlink)\w*( of)?( the)? (old|pre-join) (config )?(database|corosync)/,
      /(set mode|permissions?) (for|of) backup dir|(create|set up) backup dir/,
      /config database .*(rename|backup|failed)|(dump|backup) (of )?(config )?database .*failed/,
    ],
    meaning:
      "When a node joins a cluster, pvecm stops pve-cluster, keeps a copy of " +
      "/var/lib/pve-cluster/config.db below /var/lib/pve-cluster/backup, and starts with the " +
      "cluster's tree. One of these steps failed, and pve-cluster can still be stopped.",
    causes: [
      { code: "DB_DISK_LOW", check: "`df /var/lib/pve-cluster`", signs: /space|disk/ },
      {
        text:
          "The directory is read-only or does not belong to root: correct that, then start the " +
          "service again.",
        check: "`ls -la /var/lib/pve-cluster`, `systemctl status pve-cluster`",
      },
    ],
  },
  {
    id: "node-keys",
    title: "can't create shared ssh key database / symlink for ssh keys (pvecm updatecerts)",
    patterns: [
      /(?<!shared )ssh (key|known ?host)s?\b.*(can't|cannot|unable|fail|denied|not permitted)/,
      /(?<!shared )ssh (key|known ?host)s?\b.*' -> '/,
      /(can't|cannot) (create|open|write|merge|read|stat|copy) (?!shared).*\bssh (key|config)/,
      /(can't|cannot|could not|unable to) (create|open|write|merge|update) .*known_hosts/,
      /(can't|cannot|could not|unable to) (read|stat|copy|open|write) (?!shared).*authorized_keys/,
      /pmxcfs isn't mounted .*chickening out/,
    ],
    meaning:
      "`pvecm updatecerts`, which pveproxy runs at each start, could not update the ssh keys and " +
      "certificates of the nodes below /etc/pve, or the links to them in /root/.ssh.",
    causes: [
      {
        code: "SOCKET_ABSENT",
        check: "`findmnt /etc/pve` prints nothing: pve-cluster first",
        signs: /isn't mounted|chickening|no such file/,
      },
      { code: "NO_QUORUM", check: "`pvecm status` says Quorate: No", signs: /denied|quorum/ },
      {
        text: "Files in /root/.ssh prevent the links: check them, then run `pvecm updatecerts`.",
        check: "`ls -l /root/.ssh /etc/pve/priv`",
      },
    ],
  },
  {
    id: "join-normal",
    kind: "normal",
    title: "pvecm add: Request addition of this node / waiting for quorum...OK",
    patterns: [
      /^(request addition of this node|join request ok|waiting for quorum\.*ok)/,
      /^(stopping pve-cluster service|backup old database|merge authorized ssh keys)/,
      /^\(?re\)?generate (node files|new node certificate)|generated new node certificate/,
      /successfully added node '|login succeeded\.?$/,
      /^establishing api connection with host '[^']*'$/,
      /^(copy corosync auth key|stop|writing corosync)\b.{0,40}$|^corosync-keygen/,
      /gathering .*entropy/,
    ],
    meaning:
      "pvecm writes these while a node joins. After the last one the node has the cluster's " +
      "tree, and its web interface requires a new login.",
    causes: [
      {
        text:
          "Normal operation. If one of them is the last line for minutes, corosync has no " +
          "connection.",
        check: "`pvecm status` and `corosync-cfgtool -n` in a second shell",
      },
    ],
  },
];
