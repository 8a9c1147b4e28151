/**
 * A temporary copy of the root of this machine: an overlay in a mount namespace, in which packages
 * can be installed with the machine's own dpkg.
 */

/** The reason why there can be no overlay here, or undefined. */
export function noOverlay(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root, for a mount namespace";
  if (Bun.which("unshare") === null) return "needs unshare (util-linux)";
  const { exitCode } = inOverlay("true");
  return exitCode === 0 ? undefined : "needs an overlay mount";
}

export interface OverlayResult {
  readonly exitCode: number;
  readonly output: string;
}

/**
 * Runs a bash script as root in a copy of /, which is removed at its end. `mounts` are directories
 * of the machine that are mounted in it; /run is empty, so that no service manager is found.
 */
export function inOverlay(script: string, mounts: readonly string[] = []): OverlayResult {
  const binds = ["/proc", "/dev", ...mounts].map(
    (path) => `mkdir -p "$top/root${path}" && mount --rbind "${path}" "$top/root${path}"`,
  );
  const setUp = [
    "set -e",
    // The tmpfs on /mnt exists in this namespace only.
    "top=/mnt",
    "mount -t tmpfs tmpfs $top",
    "mkdir $top/upper $top/work $top/root",
    "mount -t overlay overlay -o lowerdir=/,upperdir=$top/upper,workdir=$top/work $top/root",
    ...binds,
    "mount -t tmpfs tmpfs $top/root/run",
    'exec chroot $top/root /bin/bash -c "$1"',
  ];
  const { exitCode, stdout } = Bun.spawnSync(
    ["unshare", "--mount", "bash", "-c", `exec 2>&1; ${setUp.join("\n")}`, "overlay", script],
    { env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", DEBIAN_FRONTEND: "noninteractive" } },
  );
  return { exitCode, output: stdout.toString() };
}
