/** States of a node for tests of fixes: shell lines, and databases to put into place. */
import { FILE, type Row, nodeTree, writeDatabase } from "./database.ts";

/** A machine called pve1 with this /etc/hosts, the address 192.0.2.7, and no other names. */
export function named(hosts: string): string {
  return `hostname pve1
    ip link add eth7 type bridge && ip address add 192.0.2.7/24 dev eth7
    ip link set eth7 up
    printf '${hosts.replaceAll("\n", String.raw`\n`)}' > /etc/hosts
    printf 'hosts: files\\n' > /etc/nsswitch.conf
  `;
}

export const GUESTS: Row[] = [
  ...nodeTree("pve1"),
  [8, 3, FILE, "100.conf", "memory: 1\n"],
  [9, 3, FILE, "101.conf", "memory: 2\n"],
];

/** Makes a file of many pages: two guests, and `file-0` to `file-59`. */
export function writeLargeDatabase(path: string): void {
  const many = Array.from({ length: 60 }, (_, index): Row => {
    return [100 + index, 0, FILE, `file-${index}`, `${index}`.repeat(300)];
  });
  writeDatabase(path, [...GUESTS, ...many]);
}

/** Puts this file into place, on a machine called pve1. */
export function placed(path: string): string {
  return `hostname pve1
    cp ${path} /var/lib/pve-cluster/config.db; chmod 0600 /var/lib/pve-cluster/config.db`;
}

/** A systemctl that writes its arguments into /run/systemctl, and then does this. */
export function serviceManager(action = "true"): string {
  return `cat > /opt/bin/systemctl <<'END'
#!/bin/sh
echo "$*" >> /run/systemctl
${action}
END
chmod +x /opt/bin/systemctl`;
}
