/**
 * The files of the runner's own pmxcfs: a plain directory with the files that the cases read, made
 * for each run. Its secrets are invented.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { patternBytes } from "./body.ts";

/** The node name of the runner's own pmxcfs. */
export const NODE = "pve1";

const VM_CONFIG = [
  "boot: order=scsi0",
  "cores: 4",
  "memory: 8192",
  "name: web-01",
  "tags: prod;web",
  'description: a \\ and a "',
  "",
  "[snapshot]",
  "cores: 2",
  "",
].join("\n");

const CT_CONFIG = "arch: amd64\ncores: 2\nhostname: ct200\nmemory: 512\n";
export const TOKEN = "root@pam!monitoring 11111111-2222-3333-4444-555555555555";
export const LAST_TOKEN = "alice@pve!last 99999999-8888-7777-6666-555555555555";
export const STORAGE_CONFIG = "dir: local\n\tpath /var/lib/vz\n\tcontent iso,vztmpl,backup\n";

/** Files by path. The last token ends without a newline. */
export const FILES: Readonly<Record<string, Uint8Array | string>> = {
  "storage.cfg": STORAGE_CONFIG,
  "user.cfg": "user:root@pam:1:0:::root@example.test::\n",
  "private.txt": "begins like priv, and is not private\n",
  "empty.cfg": "",
  "priv/token.cfg": `${TOKEN}\n${LAST_TOKEN}`,
  "priv/shadow.cfg": "alice:not a real hash:\n",
  [`nodes/${NODE}/priv/ssl.key`]: "not a real key\n",
  [`nodes/${NODE}/qemu-server/100.conf`]: VM_CONFIG,
  [`nodes/${NODE}/qemu-server/101.conf`]: "",
  [`nodes/${NODE}/lxc/200.conf`]: CT_CONFIG,
  [`nodes/pve2/qemu-server/300.conf`]: "name: elsewhere\n",
  "lab/binary": Uint8Array.from({ length: 256 }, (_, byte) => byte),
  "lab/512k": patternBytes(512 * 1024),
  "lab/1m": patternBytes(1024 * 1024),
};

/** Writes the files into a new directory under the system's temporary one; returns its path. */
export function makeFixtures(): string {
  const directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-fixtures-"));
  for (const [path, content] of Object.entries(FILES)) {
    const full = join(directory, path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, content);
  }
  return directory;
}

/** Removes that directory. */
export function removeFixtures(directory: string): void {
  rmSync(directory, { recursive: true, force: true });
}
