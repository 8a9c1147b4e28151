/** Error texts of guests: their start, their way to another node, and copies of their disks. */
import type { ErrorText } from "../error-text.ts";

export const GUEST_TEXTS: readonly ErrorText[] = [
  {
    id: "move-config",
    title: "failed to move config to node 'pve2' - rename failed",
    patterns: [
      /failed to move config/,
      /rename '?\/etc\/pve\/\S+.*failed/,
      /rename failed: (permission|device|file exists|input|read-only|no such|operation|transport)/,
    ],
    meaning:
      "A guest moves to another node by the rename of its file in /etc/pve, the last step of a " +
      "migration. That write was refused. The disks may be on the other node already: look " +
      "before trying again.",
    causes: [
      { code: "NO_QUORUM", tell: "Permission denied: `pvecm status`", signs: /permission|denied/ },
      {
        code: "CPG_RETRIES",
        tell: "Device or resource busy: the write did not get through the cluster in time",
        signs: /busy/,
      },
      {
        text: "The other node has a file of that number already.",
        tell: "File exists: `ls /etc/pve/nodes/*/*/ID.conf`",
        signs: /exists/,
      },
      { code: "DB_DISK_LOW", tell: "Input/output error", signs: /input/ },
      {
        text: "The file is gone from this node: HA or another task has moved the guest already.",
        tell: "No such file: `ls /etc/pve/nodes/*/*/ID.conf`",
        signs: /no such/,
      },
    ],
  },
  {
    id: "migration",
    title: "migration aborted / can't migrate VM",
    patterns: [
      /migration (aborted|problems|finished with problems)/,
      /can't migrate (vm|ct|running|local)/,
      /online migrate failure|migrate(_\w+)? failed/,
      /failed to clear migrate lock|migration status error|can't get migration ip/,
      /__migration__.*fail/,
      /(could not|failed to|unable to) get (migration )?ip\b|no ip address configured on/,
      /different,? ip address/,
    ],
    meaning:
      "A migration or replication did not end well; the line before this one says why. Mostly " +
      "ssh between the nodes, a storage that is not on both, or a local device.",
    causes: [
      {
        text: "The task's log has the reason above its last line.",
        tell: "the task list of the guest; `pvenode task list --errors`",
      },
      { code: "NO_QUORUM", tell: "`pvecm status`", signs: /quorum/ },
    ],
  },
  {
    id: "replication",
    title: "replication job 100-0 failed / cannot receive incremental stream",
    patterns: [
      /replication job:? \S+ .*(fail|error)|replication (error|job error|failed)/,
      /unexpected replication job error|\bpvesr\b(?!.*ipcc).*(fail|error|timeout)/,
      /cannot receive (incremental|new|resume)|does not match incremental source/,
      /(no|missing) replication snapshot|__replicate_\S+.*(fail|error|exist|timeout)/,
    ],
    meaning:
      "A replication run of a guest's disks (ZFS) to another node did not end well; PVE tries " +
      "again, up to 30 minutes later each time. The guest runs on. Not pmxcfs.",
    causes: [
      {
        text: "The words after the last colon: ssh to the node, a busy pool, no space.",
        tell: "`pvesr status`, the replication log of the guest",
      },
      {
        text:
          "Both nodes have no common snapshot any more: remove the job, remove the copy on the " +
          "target once it is sure that it is the copy, and add the job again.",
        tell: "`zfs list -t snapshot | grep __replicate_` on both nodes",
        signs: /incremental|snapshot/,
      },
      { code: "NO_QUORUM", tell: "`pvecm status`", signs: /quorum/ },
      { code: "LOCKS_HELD", tell: "got lock request timeout", signs: /lock/ },
    ],
  },
  {
    id: "guest-run",
    title: "startup for container '103' failed",
    patterns: [
      /startup for container '\d+' failed/,
      /start failed: (command|qemu|hugepage)|qemu exited with code/,
      /(__lxc_start|lxc_init|lxc_setup|lxc_mount\w*|lxc_spawn|sync_wait|do_start): \d+/,
      /lxc-console: |lxc-start: |pve-container@\d+\.service: /,
      /failed to (run|start|spawn) (lxc|container|kvm|vm)/,
      /unable to (start|stop|shutdown|create|restore|clone) (vm|ct|container) (?!.*\/etc\/pve)/,
      /command '?\/usr\/bin\/(kvm|lxc-\w+)\S*.*failed/,
      /kvm: (-|error|failed|cannot|could not)|kvm: .*(failed|not supported|unable)/,
    ],
    meaning: "The guest itself does not start. Not pmxcfs; its configuration could be read.",
    causes: [
      {
        text: "Its storage, a mount, a device, or its configuration.",
        tell: "`pct start ID --debug`, or `qm start ID` and the lines above the last one",
      },
    ],
  },
  {
    id: "volume-missing",
    title: "no such volume 'local-lvm:vm-100-disk-0' / volume '...' does not exist",
    patterns: [
      /(no such )?volume '[^']+' does not exist|no such volume '/,
      /no zvol device link for|no such logical volume|failed to find logical volume/,
      /unable to find (disk|volume|image)\b|disk image '[^']+' (does not|not)/,
    ],
    meaning:
      "The configuration of a guest names a disk, an ISO or a backup that the storage does not " +
      "have " +
      "on this node. Not pmxcfs: the configuration could be read.",
    causes: [
      {
        text: "It was removed or renamed, or the storage is another one on this node.",
        tell: "`pvesm list STORAGE`; `qm rescan` or `pct rescan` shows what is there",
      },
      {
        text: "The storage is not active yet: a pool not imported, a volume group not activated.",
        tell: "`pvesm status`, `zpool list`, `lvs`",
        signs: /zvol|logical volume/,
      },
    ],
  },
];
