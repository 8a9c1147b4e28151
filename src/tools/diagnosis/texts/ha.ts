/** Error texts of high availability: the lock of a node, the watchdog, fencing, services. */
import type { ErrorText } from "../error-text.ts";

export const HA_TEXTS: readonly ErrorText[] = [
  {
    id: "watchdog-device",
    title: "watchdog open: Device or resource busy",
    patterns: [
      /watchdog-mux.*(watchdog open|unable to open|failed to|no such device|invalid argument)/,
      /watchdog open: /,
      /unable to (open|set|get) watchdog (device|timeout)/,
      /'?\/dev\/watchdog\d*'?.*(busy|no such|denied|cannot|can't|not found)/,
      /(busy|no such|denied|cannot|can't).*'?\/dev\/watchdog/,
      /watchdog-mux\.service\b.*(failed|exited|not found|could not)/,
    ],
    meaning:
      "watchdog-mux cannot open the watchdog device, or there is none; without it the HA daemons " +
      "(pve-ha-lrm, pve-ha-crm) end. Not pmxcfs.",
    causes: [
      {
        text:
          "Another program has /dev/watchdog: systemd's RuntimeWatchdogSec, the package " +
          "watchdog, corosync's own, or the host of this container.",
        tell: "`fuser -v /dev/watchdog*`, `grep -rs RuntimeWatchdog /etc/systemd /lib/systemd`",
        signs: /busy/,
      },
      {
        text: "There is no watchdog: load softdog, or the module in /etc/default/pve-ha-manager.",
        tell: "`ls /dev/watchdog*`, then `modprobe softdog; systemctl restart watchdog-mux`",
        signs: /no such|not found/,
      },
    ],
  },
  {
    id: "ha-lost-lock",
    title: "HA: lost lock 'ha_agent_...' / watchdog",
    patterns: [
      /lost lock 'ha_/,
      /unable to (write|read) lrm status/,
      /ha_(agent|manager)\S*lock.*(failed|error|lost)/,
      /client watchdog expired/,
      /disable watchdog updates|watchdog is about to expire/,
      /watchdog-mux.*(expired|exit)/,
      /unable to open watchdog socket/,
      /loop (take|took) too long/,
      /lost_agent_lock|lost_manager_lock|=> lost_/,
      /got unexpected error - (error )?(during|ipcc|unable)/,
      /watchdog: watchdog\d: watchdog did not stop/,
    ],
    meaning:
      "HA keeps its lock by touching it below /etc/pve/priv/lock. When it cannot for 60 s the " +
      "watchdog resets the node.",
    causes: [
      { code: "NO_QUORUM", tell: "`pvecm status`" },
      { code: "PVE_SLOW", tell: "`time stat /etc/pve/local`" },
      {
        code: "CPG_RETRIES",
        tell: "Device or resource busy: the write did not get through the cluster",
        signs: /resource busy/,
      },
      { code: "CLOCK_BACKWARDS", tell: "Operation not permitted or Permission denied with quorum" },
      {
        text: "The service watchdog-mux does not run.",
        tell: "`systemctl status watchdog-mux`",
        signs: /watchdog socket/,
      },
    ],
  },
  {
    id: "ha-fence",
    title: "HA: node 'pve2': state changed from 'online' => 'unknown' / fence",
    patterns: [
      /state changed from '\w+' (=>|to) '?(unknown|fence|gone|recovery)/,
      /state changed from '(fence|recovery)'/,
      /recovering service '|no recovery node found/,
      /fenced node|successfully acquired lock 'ha_agent_\S+ .*fenc|fencing (of )?node|fence node/,
      /node '?\S+'? (is|was) (being )?fenced/,
      /(starting|force) fencing|awaiting fenc|pve-ha-crm.*fencing: /,
      /(error|fencing).*fence the node/,
    ],
    meaning:
      "The HA master has not heard of a node for 60 s, waits until its lock has run out (the " +
      "watchdog has reset it by then), and starts its guests elsewhere.",
    causes: [
      {
        text: "That node was down, was reset by its watchdog, or lost the cluster's network.",
        tell: "`ha-manager status`; on that node the end of `journalctl -b -1`",
      },
      { code: "MEMBERS_OFFLINE", tell: "`pvecm status`" },
      { code: "CPG_RETRIES", tell: "corosync's links: `journalctl -u corosync`" },
      {
        text: "No other node may have the guest: rules or groups, its storage, or nofailback.",
        tell: "it says that no recovery node was found",
        signs: /no recovery/,
      },
    ],
  },
  {
    id: "ha-service",
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
      /crm command error|no such service/,
      /max(imum)? (restart|relocate).*(reached|exceeded)/,
    ],
    meaning:
      "HA could not bring this guest into the state that is asked for. In state error it leaves " +
      "the guest alone until a person has disabled it and enabled it again.",
    causes: [
      {
        text:
          "The guest itself does not start or move: the task of that guest in the task list has " +
          "the reason. When it is mended: `ha-manager set vm:ID --state disabled`, then started.",
        tell: "`ha-manager status`, `qm start ID` on a guest that is not under HA",
      },
      { code: "NO_QUORUM", tell: "`pvecm status`", signs: /quorum/ },
    ],
  },
  {
    id: "ha-normal",
    title: "HA: status change startup => wait_for_quorum",
    patterns: [
      /status change startup => /,
      /status change \w+ => (slave|active|master|wait_for_agent_lock)\b/,
      /successfully acquired lock 'ha_(manager|agent)/,
      /^(ha-manager: )?quorum ok$/,
      /pve-ha-[cl]rm\[\d+\]: (starting server|server (received|stopped)|watchdog (in)?active)/,
      /state changed from '(?!fence|recovery)\w+' (=>|to) '?(online|start|stopp|request_|maint)/,
      /service status (vm|ct):\d+ (started|stopped)/,
      /pve-ha-[cl]rm\[\d+\]: ((starting|stopping) service|got shutdown|shutdown lrm)/,
      /pve-ha-[cl]rm\[\d+\]: watchdog closed/,
      /pve-ha-[cl]rm\[\d+\]: (migrate service|adding new service|removing (stale )?service|<)/,
    ],
    meaning: "The HA daemons write these while they start, change roles, and move guests.",
    causes: [
      {
        text: "Normal operation.",
        tell: "when it comes again and again: `ha-manager status`, `pvecm status`",
      },
    ],
  },
];
