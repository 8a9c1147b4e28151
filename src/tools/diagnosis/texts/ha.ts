/** Error texts of high availability: the lock of a node, the watchdog, fencing, services. */
import type { ErrorText } from "../error-text.ts";

export const HA_TEXTS: readonly ErrorText[] = [
  {
    id: "watchdog-device",
    title: "watchdog open: Device or resource busy",
    patterns: [
      /watchdog-mux.*(watchdog open|unable to open|failed to|no such device|invalid argument)/,
      /watchdog open: |(itco|sp5100|hpwdt|ipmi)\w*: .*(unable|disabled|fail|cannot|no_reboot)/,
      /unable to (open|set|get) watchdog (device|timeout)/,
      /'?\/dev\/watchdog\d*'?.*(busy|no such|denied|cannot|can't|not found)/,
      /(busy|no such|denied|cannot|can't).*'?\/dev\/watchdog/,
      /watchdog-mux\.service\b.*(failed|exited|not found|could not)/,
      /watchdog-mux\S*: .*(modprobe|command|unable|can't|cannot|error|no such|update failed)/,
      /watchdog-mux\S*: .*(socket|epoll|peer credentials|malloc|bind|listen|accept|open|ioctl)/,
    ],
    meaning:
      "watchdog-mux cannot open the watchdog device, or there is none. Without watchdog-mux the " +
      "HA daemons (pve-ha-lrm, pve-ha-crm) end. Not a fault of pmxcfs.",
    causes: [
      {
        text:
          "Another program has /dev/watchdog open: systemd (RuntimeWatchdogSec), the package " +
          "watchdog, corosync, or the host of this container.",
        check: "`fuser -v /dev/watchdog*`, `grep -rs RuntimeWatchdog /etc/systemd /lib/systemd`",
        signs: /busy/,
      },
      {
        text:
          "There is no watchdog device: load the module named in /etc/default/pve-ha-manager, or " +
          "softdog: `modprobe softdog; systemctl restart watchdog-mux`.",
        check: "`ls /dev/watchdog*` prints no device",
        signs: /no such|not found/,
      },
    ],
  },
  {
    id: "ha-lost-lock",
    kind: "symptom",
    title: "HA: lost lock 'ha_agent_...' / watchdog",
    patterns: [
      /lost lock 'ha_/,
      /unable to (write|read) lrm status/,
      /ha_(agent|manager)\S*lock.*(failed|error|lost)/,
      /client watchdog expired/,
      /disable watchdog updates|watchdog is about to expire/,
      /watchdog-mux.*(expired|exit watchdog-mux with active)/,
      /unable to open watchdog socket/,
      /loop (take|took) too long|watchdog (update|close) failed|watchdog active - unable/,
      /cluster file ?system update failed(?!.*ipcc)/,
      /status from manager failed(?!.*(refused|quorum|not connected))|lost agent lock/,
      /needs to be fenced/,
      /lost_agent_lock|lost_manager_lock|=> lost_/,
      /pve-ha-[cl]rm\[\d+\]: .{0,30}got unexpected error - /,
      /watchdog: \w+: watchdog did not stop|softdog: initiating system re/,
    ],
    meaning:
      "A node could not refresh its HA lock below /etc/pve/priv/lock. If that fails for 60 s, " +
      "the watchdog resets the node.",
    causes: [
      { code: "NO_QUORUM", check: "`pvecm status`" },
      { code: "PVE_SLOW", check: "`time stat /etc/pve/local`" },
      {
        code: "CPG_RETRIES",
        check: "Device or resource busy: the cluster did not confirm the write in time",
        signs: /resource busy/,
      },
      {
        code: "CLOCK_BACKWARDS",
        check: "Operation not permitted or Permission denied with quorum",
      },
      {
        text: "The service watchdog-mux is not running.",
        check: "`systemctl status watchdog-mux`",
        signs: /watchdog socket/,
      },
    ],
  },
  {
    id: "ha-fence",
    kind: "symptom",
    title: "HA: node 'pve2': state changed from 'online' => 'unknown' / fence",
    patterns: [
      /state changed from '\w+' (=>|to) '?(unknown|fence|gone|recovery)/,
      /state changed from '(fence|recovery)'/,
      /recovering service '|no recovery node found/,
      /node '\S+' is no longer member|fenced node|successfully acquired lock 'ha_agent_\S+ .*fenc/,
      /fencing (of )?node|fence node/,
      /node '?\S+'? (is|was) (being )?fenced/,
      /(starting|force) fencing|awaiting fenc|pve-ha-crm.*fencing: /,
      /(error|fencing).*fence the node|fence (job|commands?|devices?|agent)\b/,
      /no fenc\w+ (device|command)/,
    ],
    meaning:
      "The HA master received nothing from a node for 60 s. It waits until the lock of that node " +
      "has expired (by then its watchdog has reset it), and starts its guests on other nodes.",
    causes: [
      {
        text: "That node was off, was reset by its watchdog, or lost the cluster's network.",
        check: "`ha-manager status`; on that node the end of `journalctl -b -1`",
      },
      { code: "MEMBERS_OFFLINE", check: "`pvecm status`" },
      { code: "CPG_RETRIES", check: "corosync's links: `journalctl -u corosync`" },
      {
        text:
          "No other node is allowed or able to run the guest: HA rules or " +
          "groups, or its storage.",
        check: "the line says that no recovery node was found",
        signs: /no recovery/,
      },
    ],
  },
  {
    id: "ha-service",
    kind: "symptom",
    title: "HA: service 'vm:100' in error state, must be disabled and fixed first",
    patterns: [
      /service '?(vm|ct|fa):\d+'? (is )?(in|=>) '?error/,
      /unable to (start|stop|migrate|relocate|freeze|handle) service '?(vm|ct):\d+/,
      /service '?(vm|ct):\d+'? .*(failed|unable|not started|refused|error)/,
      /'to '?error'|state changed from '\w+' (=>|to) '?error/,
      /command '?(ha-manager|\/usr\/sbin\/ha-manager) .*failed/,
      /(no such|unknown|invalid) (ha )?(resource|service) '?(vm|ct):/,
      /resource '?(vm|ct):\d+'? .*(not (ha )?managed|already defined|does not exist)/,
      /starting service (vm|ct):\d+ .*(failed|return)/,
      /service status (vm|ct):\d+ error/,
      /crm command (error|'\S+' error)|no such service|tried all available nodes|retry number/,
      /resource agent .* finished - (got signal|failed)|guest with id \d+ is not/,
      /missing resource conf/,
      /unable to (parse|detect) (service id|sid)|'(vm|ct):\d+' failed - |not on this node/,
      /max(imum)? (restart|relocate).*(reached|exceeded)/,
    ],
    meaning:
      "HA could not bring this guest into its requested state. In state error HA does nothing " +
      "with the guest until it is set to disabled, and then to started again.",
    causes: [
      {
        text:
          "The guest itself does not start or migrate: its task in the task list has the reason. " +
          "After that is repaired: `ha-manager set vm:ID --state disabled`, then the same with " +
          "started.",
        check: "`ha-manager status`; for a guest that HA does not manage, `qm start ID`",
      },
      { code: "NO_QUORUM", check: "`pvecm status`", signs: /quorum/ },
    ],
  },
  {
    id: "ha-scheduler",
    title: "HA: fallback to 'basic' scheduler mode / did not get static node usage information",
    patterns: [
      /(static|dynamic) (node|service) (usage|info|imbalance)|static scheduling|scheduler mode/,
      /unable to (score|calculate|decode|initialize) .*(node|usage|scheduling|balancing|imbalance)/,
      /initializing (static|dynamic) node|node not in usage hash/,
    ],
    meaning:
      "The HA master selects nodes by the number of their services (basic), because it has no " +
      "load values of a node: its pvestatd has not sent them. Services keep running; only the " +
      "selection is less exact.",
    causes: [
      {
        text: "pvestatd of that node is not running, or the node has just started.",
        check: "`systemctl status pvestatd` on that node",
      },
      { code: "STATUS_SLOW", check: "its log has status update time" },
      { code: "NO_QUORUM", check: "`pvecm status`", signs: /quorum/ },
    ],
  },
  {
    id: "ha-config",
    title: "HA: value does not look like a valid ha resource id / unknown state",
    patterns: [
      /value does not look like a valid ha|unable to (parse|get|read) ha /,
      /ha settings from datacenter/,
      /pve-ha-[cl]rm\[\d+\]: (?!.*state changed).*(unknown|invalid)/,
      /pve-ha-[cl]rm\[\d+\]: (?!.*state changed).*(not implemented)/,
      /pve-ha-[cl]rm\[\d+\]: (?!.*state changed).*(no such (option|resource type))/,
      /pve-ha-[cl]rm\[\d+\]: .*(already declared|already connected)/,
      /pve-ha-[cl]rm\[\d+\]: .*(must be (declared|unique)|on parsing)/,
      /unknown (shutdown|recovery) policy|ha groups migration failed|not a valid node_preference/,
    ],
    meaning:
      "This version does not accept an entry in /etc/pve/ha or in the ha and crs lines of " +
      "/etc/pve/datacenter.cfg: it was edited by hand, or written by a node of another version. " +
      "Not a fault of the IPC.",
    causes: [
      {
        text: "The entry that the line names: correct it with `ha-manager`, not with an editor.",
        check: "`ha-manager config`, `cat /etc/pve/ha/*.cfg`, `pveversion` on each node",
      },
      { code: "NO_QUORUM", check: "`pvecm status`", signs: /quorum|permission/ },
    ],
  },
  {
    id: "ha-normal",
    kind: "normal",
    title: "HA: status change startup => wait_for_quorum",
    patterns: [
      /status change startup => /,
      /status change \w+ => (slave|active|master|wait_for_agent_lock)\b/,
      /(successfully acquired|got) lock 'ha_(manager|agent)/,
      /^(ha-manager: )?quorum ok$/,
      /pve-ha-[cl]rm\[\d+\]: (starting server|server (received|stopped)|watchdog (in)?active)/,
      /state changed from '(?!fence|recovery)\w+' (=>|to) '?(online|start|stopp|request_|maint)/,
      /service status (vm|ct):\d+ (started|stopped)/,
      /pve-ha-[cl]rm\[\d+\]: ((starting|stopping) service|got shutdown|shutdown lrm)/,
      /pve-ha-[cl]rm\[\d+\]: watchdog closed/,
      /pve-ha-[cl]rm\[\d+\]: .*(maintenance|disarm|no state change)/,
      /pve-ha-[cl]rm\[\d+\]: .*(recovery policy|removed leftover)/,
      /watchdog-mux\S*: (clean exit|got sighup|added new client|loading watchdog|close )/,
      /watchdog-mux\S*: (exit watchdog-mux(?! with)|watchdog driver|got terminate|starting)/,
      /pve-ha-[cl]rm\[\d+\]: (migrate service|adding new service|removing (stale )?service|<)/,
    ],
    meaning: "The HA daemons write these when they start, change roles, and move guests.",
    causes: [
      {
        text: "Normal operation.",
        check: "if it repeats: `ha-manager status`, `pvecm status`",
      },
    ],
  },
  {
    id: "ha-stop",
    kind: "normal",
    title: "pve-ha-lrm: restart LRM, freeze all services",
    patterns: [
      /pve-ha-lrm\[\d+\]: .*(restart|reboot|shutdown) lrm, /,
      /pve-ha-lrm\[\d+\]: .*freeze all services/,
      /pve-ha-crm\[\d+\]: .*(we are new master|rebalance service)/,
      /pve-ha-crm\[\d+\]: .*state changed from '\w+' to '(migrate|relocate)'/,
    ],
    meaning:
      "The HA daemons write these while a node stops or restarts, and while they move a guest.",
    causes: [
      {
        text: "Normal operation.",
        check: "when a guest stays in one state: `ha-manager status --verbose`",
      },
    ],
  },
];
