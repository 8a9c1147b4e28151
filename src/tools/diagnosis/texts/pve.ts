/**
 * Error texts of PVE's tools and daemons whose cause is rarely pmxcfs: contents of configuration
 * files, permissions, editors, metrics, Ceph, the firewall, packages.
 */
import type { ErrorText } from "../error-text.ts";

export const PVE_TEXTS: readonly ErrorText[] = [
  {
    id: "config-parse",
    title: "unable to parse value of '...' / file /etc/pve/storage.cfg line 14",
    patterns: [
      /unable to parse (value of|directory|config)/,
      /unable to parse (vm|ct|volume|line|section|drive|net\d|guest|worker|zfs)/,
      /file '?\/etc\/pve\/\S+ line \d+/,
      /\/etc\/pve\/\S+'?:? .{0,30}(syntax error|parse error|format error|line \d+)/,
      /(vm|ct) \d+ - unable to parse/,
      /missing '\w+' - internal error/,
      /unknown section type|unexpected property '|property is not defined in schema/,
      /(400 )?parameter verification failed/,
      /ignor\w+ (invalid|malformed|unknown) (line|config|property|setting)/,
    ],
    meaning:
      "A line of a configuration file, or a value of a command, does not have the format that " +
      "PVE expects. pmxcfs stores files unchanged and does not parse most of them, so a program " +
      "or a person wrote this text.",
    causes: [
      {
        text:
          "The file was edited by hand, or written by a script, a plugin, or a newer version of " +
          "PVE on another node.",
        check:
          "`pmxcfs-ipc config cat PATH | cat -A` as root shows the line; " +
          "versions: `pveversion`",
      },
      { code: "DB_CORRUPT", check: "the file has bytes that no program writes there" },
    ],
  },
  {
    id: "permission-check",
    title: "Permission check failed (/vms/100, VM.PowerMgmt) (403)",
    patterns: [
      /permission check failed($| \()/,
      /ignore invalid (acl|user|group|role|pool|token)/,
      /user config - .*(invalid|ignore|unable)/,
      /user name '\S+' (is )?(too short|not)|no such (user|role|group|realm|pool) \(?'/,
    ],
    meaning:
      "The user or token lacks the permission named in parentheses, or /etc/pve/user.cfg has an " +
      "entry for a user that does not exist any more. PVE checks this; neither the IPC nor " +
      "quorum is involved.",
    causes: [
      {
        text:
          "The permission is missing on that path. A token with privilege separation has only " +
          "its own permissions, not those of its user.",
        check: "`pveum user permissions USER@REALM --path PATH` (for a token: USER@REALM!TOKEN)",
      },
    ],
  },
  {
    id: "editor",
    title: 'vim: "/etc/pve/..." E667: Fsync failed',
    patterns: [
      /\/etc\/pve\/\S*.*\be(667|514|13|72|303|325|505|510): /,
      /\be(667|514|72|303|505|510): .*\/etc\/pve\//,
      /\/etc\/pve\/\S+ .*(readonly option is set|write error in)/,
    ],
    meaning:
      "An editor could not write a file below /etc/pve. The file has its old text. Save the new " +
      "text to another directory first (in vim :w /root/FILE), then find the cause.",
    causes: [
      { code: "NO_QUORUM", check: "`pvecm status` says Quorate: No" },
      {
        code: "DB_DISK_LOW",
        check: "Input/output error: `df /var/lib/pve-cluster` is full",
        signs: /fsync|input|e667/,
      },
      { text: "Only root may write below /etc/pve.", check: "`id -u` is not 0" },
    ],
  },
  {
    id: "metrics",
    title: "metrics send error 'influx': failed to send metrics",
    patterns: [/metrics send error|failed to send metrics|metric server .*(failed|error)/],
    meaning:
      "pvestatd could not send values to an external metric server (/etc/pve/status.cfg). The " +
      "GUI's graphs do not need that server, but pvestatd waits for it in each cycle, up to a " +
      "time limit.",
    causes: [
      { text: "The metric server is down or not reachable.", check: "`cat /etc/pve/status.cfg`" },
      { code: "STATUS_SLOW", check: 'the log has "status update time" as well' },
    ],
  },
  {
    id: "ceph",
    title: "rados_connect failed / unable to get monitor info",
    patterns: [
      /rados_connect failed|unable to get monitor info|error connecting to the cluster/,
      /ceph-(mon|osd|mgr|mds)@?\S*\.service\b.*(failed|exited)/,
      /binary not installed: \/usr\/bin\/ceph|ceph .*not fully installed|pveceph .*not initialized/,
    ],
    meaning:
      "Ceph does not answer or is not set up. Not a fault of the IPC. But /etc/ceph/ceph.conf is " +
      "a link to /etc/pve/ceph.conf: without the mount Ceph has no configuration.",
    causes: [
      {
        text: "Ceph's monitors do not run, or Ceph is not set up.",
        check: "`ceph -s`, `pveceph status`",
      },
      { code: "PVE_NOT_MOUNTED", check: "`ls -lL /etc/ceph/ceph.conf` says No such file" },
    ],
  },
  {
    id: "firewall",
    title: "pve-firewall: status update error: iptables_restore_cmdlist",
    patterns: [
      /pve-firewall\[\d+\]: (?!.*ipcc).*(update (error|time)|iptables|ipset|ebtables|nft)/,
    ],
    meaning:
      "pve-firewall could not load a rule set, or took long to load it. It reads " +
      "/etc/pve/firewall; the fault is in a rule, a set, or the kernel's tables.",
    causes: [
      { text: "A rule or an alias that iptables refuses.", check: "`pve-firewall compile | head`" },
      {
        code: "PVE_SLOW",
        check: "the line says update time: `time stat /etc/pve/local`",
        signs: /update time/,
      },
    ],
  },
  {
    id: "out-of-memory",
    title: "Out of memory: Killed process 4455 (kvm)",
    patterns: [
      /out of memory: killed process \d+ \((?!pmxcfs|corosync)/,
      /oom-kill:.*task=(?!pmxcfs|corosync)/,
    ],
    meaning:
      "The kernel killed a process because memory was short. It was not pmxcfs but mostly a " +
      "guest. pmxcfs is slow while memory is short, and can be killed next.",
    causes: [
      { code: "MEMORY_LOW", check: "`free -m`, `dmesg | grep -i killed`" },
      { code: "MEMORY_PRESSURE", check: "`cat /proc/pressure/memory`" },
    ],
  },
  {
    id: "proxy-log",
    title: "unable to open log file '/var/log/pveproxy/access.log' - Permission denied",
    patterns: [
      /unable to open log file '/,
      /\/var\/log\/pveproxy\S*.*(permission denied|no such file|not permitted)/,
    ],
    meaning: "pveproxy runs as www-data, cannot write its log, and ends. Not a fault of pmxcfs.",
    causes: [
      {
        text:
          "Owner or mode of the directory or the file is wrong, often after a cleanup script or " +
          "a mount: `chown -R www-data:www-data /var/log/pveproxy; systemctl restart pveproxy`.",
        check: "`ls -la /var/log/pveproxy`",
      },
    ],
  },
  {
    id: "perl-module",
    title: "Can't locate PVE/... in @INC / BEGIN failed--compilation aborted",
    patterns: [
      /can't locate (pve|proxmox|rados|cpg)\S*\.pm in @inc/,
      /(missing right curly|syntax error) .*\/perl5\/pve/,
      /(unmatched right|global symbol '\S+' requires) .*\/perl5\/pve/,
      /can't (use|call) .*(string|undef\w*|unblessed|value|reference|method).* at \S*\/perl5\/pve/,
      /use of uninitialized value .* at \S*\/perl5\/pve/,
      /(begin failed--compilation aborted|compilation failed in require) at \S*(pve|perl5)/,
      /undefined subroutine &?pve::|can't locate object method '\S+' via package 'pve/,
      /symbol lookup error: .*(perl|pve|libqb)/,
      /(corosync|pmxcfs|pve\w*|perl|kvm): error while loading shared libraries/,
      /\b(corosync|pmxcfs|perl5?|kvm)\b.*version '\w+_[\d.]+' not found/,
    ],
    meaning:
      "A program of PVE could not load its own code: packages of different versions are " +
      "installed (an incomplete upgrade), or a file was changed by hand. Not a fault of pmxcfs.",
    causes: [
      {
        text: "Half an upgrade: `apt -f install`, then `apt full-upgrade`.",
        check: "`pveversion -v`, `dpkg -l | grep -v ^ii`",
      },
      {
        text: "A plugin is for another version of PVE, or a script has patched files.",
        check: "`dpkg --verify pve-manager libpve-common-perl libpve-cluster-perl`",
      },
    ],
  },
  {
    id: "port-used",
    title: "pveproxy: cannot bind: Address already in use",
    patterns: [
      /(pveproxy|spiceproxy|pvedaemon)\b.*address already in use/,
      /unable to create socket - .*address already in use/,
    ],
    meaning: "Another program listens on the TCP port of this daemon (8006, 3128, 85).",
    causes: [
      {
        text: "An old process of the daemon, or a web server.",
        check: "`ss -ltnp 'sport = :8006'`",
      },
    ],
  },
  {
    id: "web-files",
    title: "501 no such file '/PVE/StdWorkspace.js'",
    patterns: [
      /\b501 no such file '|no such file '?\/(pve|pve2|proxmoxlib|api2|xtermjs|novnc)\S*\.(js|css)/,
    ],
    meaning:
      "The browser requested a file of the web interface that this version does not have: the " +
      "browser's cache is of another version, or pve-manager is incomplete. Not a fault of " +
      "pmxcfs.",
    causes: [
      {
        text:
          "The browser's cache is from before an upgrade: reload with Ctrl+Shift+R, restart " +
          "pveproxy.",
        check: "another browser shows the page",
      },
      {
        text: "Half an upgrade: `apt -f install`, then `apt full-upgrade`.",
        check: "`dpkg --verify pve-manager proxmox-widget-toolkit`",
      },
    ],
  },
  {
    id: "console-connect",
    title: "connect to '127.0.0.1:5900' failed / failed to connect to console",
    patterns: [
      /connect to '\S+:\w+' failed/,
      /(vncproxy|termproxy|vncshell|xtermjs).*(failed|timeout|refused)|failed running vnc proxy/,
      /command '?\/usr\/bin\/(nc6?|termproxy|vncterm|dtach|socat)\b.*failed/,
    ],
    meaning:
      "The console (noVNC, SPICE, xterm.js) could not connect to the port of the guest or the " +
      "node. Not a fault of the IPC.",
    causes: [
      {
        text: "The guest has ended, has no such display, or its node is not reachable.",
        check: "`qm status ID` or `pct status ID`; for another node `pvecm status`",
      },
    ],
  },
  {
    id: "dot-files",
    title: "/etc/pve/.clusterlog: file changed as we read it",
    patterns: [
      /\/etc\/pve\/\.\w+.*(changed|shrank|shrunk|size|grew|differs|padding|truncated)/,
      /(changed|shrank|shrunk|size|grew|padding)\b.*\/etc\/pve\/\.\w+/,
    ],
    meaning:
      "The dot files of /etc/pve (log, graphs, versions, members) are generated at each read, so " +
      "they change while a backup reads them. They have no content that can be restored.",
    causes: [
      {
        text: "Harmless. Exclude /etc/pve/.* from the backup, or back up config.db instead.",
        check: "the lines name only files that begin with a dot",
      },
    ],
  },
  {
    id: "package",
    kind: "symptom",
    title: "dpkg: error processing package pve-manager (--configure)",
    patterns: [
      /error processing package '?(pve|proxmox|libpve|qemu-server|corosync|libqb|spiceterm)/,
      /dependency problems prevent configuration of (pve|proxmox|libpve|qemu-server|corosync)/,
      /errors were encountered while processing: .*(pve|proxmox|qemu-server|corosync)/,
      /installed (pve|proxmox|libpve|qemu-server|corosync)\S* package post-installation/,
      /(pve|proxmox)-\S+ depends on |package (pve|proxmox)-\S+ is not configured/,
    ],
    meaning:
      "A package of PVE could not be configured, mostly because a service that it starts fails. " +
      "On a fresh Debian that is nearly always pve-cluster, because of the host name. When the " +
      "service runs: `dpkg --configure -a`.",
    causes: [
      { code: "NAME_LOOPBACK", check: "`getent ahosts $(hostname)` shows only 127.x or ::1" },
      { code: "UNIT_FAILED", check: "`systemctl status pve-cluster` says failed" },
    ],
  },
  {
    id: "daemon-normal",
    kind: "normal",
    title: "pvedaemon: worker 16103 started",
    patterns: [
      /auth key pair too old, rotating|> successful auth for user '/,
      /> (starting|end) task upid:[^ ]+(: ok)?$/,
      /(pve\w+|spiceproxy)\[\d+\]: (starting \d+ worker|starting server|worker \d+ )/,
      /(pve\w+|spiceproxy)\[\d+\]: (restarting server|server (closing|stopped|received|shutdown))/,
      /(pve\w+|spiceproxy)\[\d+\]: (worker exit|received (signal|terminate)|send \w+ to \d+)/,
    ],
    meaning: "The daemons of PVE write these when they start, stop, or replace their workers.",
    causes: [{ text: "Normal operation.", check: "other lines, with error" }],
  },
];
