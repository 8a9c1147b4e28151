/** Error texts of guests: start, migration, replication, disks. */
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
      "The guest's file in /etc/pve could not be renamed into the other node's directory, the " +
      "last step of a migration. The disks can be on the other node already: check that before " +
      "you try again.",
    causes: [
      { code: "NO_QUORUM", check: "Permission denied: `pvecm status`", signs: /permission|denied/ },
      {
        code: "CPG_RETRIES",
        check: "Device or resource busy: the cluster did not confirm the rename in time",
        signs: /busy/,
      },
      {
        text: "There is a file of that VMID on another node already.",
        check: "File exists: `ls /etc/pve/nodes/*/*/ID.conf`",
        signs: /exists/,
      },
      { code: "DB_DISK_LOW", check: "Input/output error", signs: /input/ },
      {
        text: "The file is no longer on this node: HA or another task has moved the guest already.",
        check: "No such file: `ls /etc/pve/nodes/*/*/ID.conf`",
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
      "A migration or replication failed; the line before this one has the reason. Usual " +
      "reasons: ssh between the nodes, a storage that only one of them has, a local device.",
    causes: [
      {
        text: "The lines above the last one in the task's log have the reason.",
        check: "the task list of the guest; `pvenode task list --errors`",
      },
      { code: "NO_QUORUM", check: "`pvecm status`", signs: /quorum/ },
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
      "A replication of a guest's disks (ZFS) to another node failed. PVE tries again after 5 to " +
      "30 minutes. The guest keeps running. Not a fault of pmxcfs.",
    causes: [
      {
        text:
          "The words after the last colon have the reason: ssh to the node, a busy pool, no " +
          "space.",
        check: "`pvesr status`, the replication log of the guest",
      },
      {
        text:
          "The nodes have no common snapshot any more. Remove the job, verify which node has the " +
          "copy, remove that copy, and add the job again.",
        check: "`zfs list -t snapshot | grep __replicate_` on both nodes",
        signs: /incremental|snapshot/,
      },
      { code: "NO_QUORUM", check: "`pvecm status`", signs: /quorum/ },
      { code: "LOCKS_HELD", check: "got lock request timeout", signs: /lock/ },
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
    meaning:
      "The guest itself does not start. Its configuration could be read, so this is not a fault " +
      "of pmxcfs.",
    causes: [
      {
        text: "Its storage, a mount, a device, or a setting of the guest.",
        check: "`pct start ID --debug`, or `qm start ID` and the lines above the last one",
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
      "The configuration of a guest names a disk, an ISO image or a backup that the storage does " +
      "not have on this node. The configuration could be read, so this is not a fault of pmxcfs.",
    causes: [
      {
        text:
          "It was removed or renamed, or this node has another storage under that name. `qm " +
          "rescan` or `pct rescan` updates the configuration.",
        check: "`pvesm list STORAGE` does not list it",
      },
      {
        text: "The storage is not active: a pool is not imported, or a volume group not activated.",
        check: "`pvesm status`, `zpool list`, `lvs`",
        signs: /zvol|logical volume/,
      },
    ],
  },
];
