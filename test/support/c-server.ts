/**
 * The C server pmxcfs, for comparisons: PMXCFS_C_SERVER is its path. The paths that it uses are
 * fixed, so it runs in mount, network, IPC and host-name namespaces of its own, as root.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const SCRIPT = `
hostname pve1
mkdir -p /etc/pve /var/lib/pve-cluster
mount --bind "$1/hosts" /etc/hosts && mount --bind "$1/lib" /var/lib/pve-cluster || exit 2
mount --bind "$1/run" /run && mkdir -p /run/lock || exit 2
"$2" -l -f >"$1/log" 2>&1 & server=$!
i=0; until [ -L /etc/pve/local ] || [ $i -gt 100 ]; do i=$((i + 1)); sleep 0.1; done
[ -L /etc/pve/local ] && (cd /etc/pve && find . -type f ! -name '.*' -exec sha256sum {} + | sort)
kill $server; wait $server
`;

/** The reason why no C server can run here, or undefined. */
export function noCServer(): string | undefined {
  if (process.env["PMXCFS_C_SERVER"] === undefined) return "needs PMXCFS_C_SERVER";
  return process.getuid?.() === 0 ? undefined : "needs root, for namespaces";
}

/** The files that the C server shows for a copy of a config.db: SHA-256 and path; and its log. */
export function filesByCServer(file: string): { readonly files: string[]; readonly log: string } {
  const directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-c-"));
  try {
    for (const name of ["lib", "run"]) mkdirSync(join(directory, name));
    writeFileSync(join(directory, "hosts"), "127.0.0.1 localhost\n192.0.2.11 pve1\n");
    Bun.spawnSync(["cp", file, join(directory, "lib", "config.db")]);
    const server = process.env["PMXCFS_C_SERVER"] ?? "";
    const { stdout } = Bun.spawnSync(
      ["unshare", "-m", "-n", "-u", "-i", "--propagation", "private", "bash", "-c", SCRIPT].concat(
        "c-server",
        directory,
        server,
      ),
    );
    const log = Bun.spawnSync(["cat", join(directory, "log")]).stdout.toString();
    return { files: stdout.toString("latin1").split("\n").filter(Boolean), log };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
