/** The /etc/pve of the benchmark: guests with usual configs, and the files that PVE reads. */
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Node name of the benchmark's servers. */
export const NODE = "bench1";

const STORAGE = ["dir: local", "path /var/lib/vz", "content iso,vztmpl,backup", ""].join("\n\t");

/** Writes a tree with `guests` guests, half of them containers. The caller removes it. */
export function makeTree(guests: number): string {
  const root = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-bench-"));
  fillTree(root, NODE, guests);
  return root;
}

/** Writes that tree into `root`, an empty directory or the mount of the node `name`. */
export function fillTree(root: string, name: string, guests: number): void {
  const node = join(root, "nodes", name);
  for (const part of ["priv", "qemu-server", "lxc"]) {
    mkdirSync(join(node, part), { recursive: true });
  }
  mkdirSync(join(root, "priv"), { recursive: true });
  writeFileSync(join(root, "storage.cfg"), STORAGE.repeat(20));
  writeFileSync(join(root, "priv", "token.cfg"), tokens());
  for (let i = 0; i < guests; i++) {
    const kind = i % 2 === 0 ? "qemu-server" : "lxc";
    writeFileSync(join(node, kind, `${100 + i}.conf`), guestConfig(100 + i));
  }
}

/** A tree with `files` files of 720 bytes, to measure memory and the time to the first answer. */
export function makeFiles(files: number): string {
  const root = makeTree(0);
  mkdirSync(join(root, "files"));
  for (let i = 0; i < files; i++) {
    const line = `key: value ${String(i).padStart(6, "0")}\n`;
    writeFileSync(join(root, "files", `file-${i}.cfg`), line.repeat(40));
  }
  return root;
}

function tokens(): string {
  const lines = Array.from({ length: 50 }, (_, i) => {
    return `user${i}@pve!token ${String(i).padStart(36, "0")}\n`;
  });
  return `${lines.join("")}root@pam!bench 0123\n`;
}

function guestConfig(id: number): string {
  const lines = [
    "boot: order=scsi0;net0",
    "cores: 4",
    "memory: 8192",
    `name: guest-${id}.example.com`,
    `net0: virtio=BC:24:11:00:00:${(id % 256).toString(16).padStart(2, "0")},bridge=vmbr0,firewall=1`,
    "numa: 0",
    "onboot: 1",
    "ostype: l26",
    `scsi0: local-lvm:vm-${id}-disk-0,discard=on,iothread=1,size=32G`,
    "scsihw: virtio-scsi-single",
    "sockets: 1",
    "tags: prod;web",
  ];
  return `${lines.join("\n")}\n`;
}
