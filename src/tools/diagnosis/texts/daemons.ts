/** Error texts of pveproxy, pvestatd and pvesh that are not about pmxcfs. */
import type { ErrorText } from "../error-text.ts";

export const DAEMON_TEXTS: readonly ErrorText[] = [
  {
    id: "tls-alert",
    kind: "normal",
    title: "pveproxy: ssl3_read_bytes: tls alert certificate unknown",
    patterns: [/(ssl|tls).{0,60}alert (certificate unknown|unknown ca|bad certificate)/],
    meaning: "A client of the web interface or of the API ended the connection.",
    causes: [
      {
        text:
          "The browser, exporter or script does not trust the certificate of this node: it needs " +
          "the cluster's CA (/etc/pve/pve-root-ca.pem), or the node a certificate that it trusts.",
        check: "`curl -v https://NODE:8006` on the client's machine says why",
      },
    ],
  },
  {
    id: "qmp-closed",
    kind: "normal",
    title: "pvestatd: closing with read buffer at /usr/share/perl5/IO/Multiplex.pm",
    patterns: [/closing with (read|write) buffer at .*io\/multiplex\.pm/],
    meaning: "pvestatd closed its connection to a guest's QEMU before all of an answer was read.",
    causes: [
      {
        text: "A guest was stopped or answered late. Harmless if it is rare.",
        check: "`journalctl -b -t pvestatd -n 30`: a guest is named that does not answer",
      },
    ],
  },
  {
    id: "pvesh-method",
    title: "pvesh: No 'set' handler defined for '/nodes'",
    patterns: [/no '(get|set|create|delete)' handler defined for '/],
    meaning: "The API has this path, but not this method for it. Not the IPC.",
    causes: [
      {
        text: "Another method is meant: get, set, create (POST) or delete.",
        check: "`pvesh usage PATH --verbose` lists the methods of the path",
      },
    ],
  },
  {
    id: "log-disk-full",
    title: "unable to write '/var/log/pveproxy/access.log': No space left on device",
    patterns: [/\/var\/log\/\S*'?:? .{0,30}no space left on device/],
    meaning: "The file system of the logs is full; on most nodes that of config.db, too.",
    causes: [
      { code: "DB_DISK_LOW", check: "`df -h /var/log /var/lib/pve-cluster`" },
      {
        text: "Logs fill it. `journalctl --vacuum-size=200M` removes the oldest part of the journal.",
        check: "`du -xh /var/log --max-depth=2 | sort -h | tail`",
      },
    ],
  },
];
