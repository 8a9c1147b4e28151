/** A C server that answers PVE's requests from a small tree, and our proxies before it. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { native } from "../support/native.ts";
import { program, type Service, startService } from "../support/service.ts";

export const TOKEN = "root@pam!ci 0b1c2d3e";

/** Makes a directory of files like /etc/pve; the caller removes it. */
export function makeTree(): string {
  const directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-test-"));
  mkdirSync(join(directory, "priv"));
  mkdirSync(join(directory, "nodes", "pve1", "qemu-server"), { recursive: true });
  writeFileSync(join(directory, "storage.cfg"), "dir: local\n");
  writeFileSync(join(directory, "priv", "token.cfg"), `${TOKEN}\n`);
  writeFileSync(join(directory, "nodes/pve1/qemu-server/100.conf"), "name: one\nmemory: 512\n");
  return directory;
}

export function removeTree(directory: string): void {
  rmSync(directory, { recursive: true, force: true });
}

export async function startC(server: string, ...words: string[]): Promise<Service> {
  return await startService((name) => [native(server), name, ...words]);
}

export async function startProxy(
  command: "trace" | "record",
  upstream: string,
  ...words: string[]
): Promise<Service> {
  return await startService((name) => {
    return [...program(), command, "--socket", name, "--upstream", upstream, ...words];
  });
}
