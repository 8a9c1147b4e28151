/**
 * The package under a real systemd: on-systemd.sh runs in a copy of this machine's root (an overlay
 * that is removed afterwards), booted by systemd-nspawn. PMXCFS_IPC_SYSTEMD=trixie boots a fresh
 * Debian of that release instead, which needs mmdebstrap and a mirror.
 */
import { afterAll, describe, expect } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildDeb } from "../../packaging/deb.ts";
import { HERE, prepare } from "../../packaging/make.ts";
import { noOverlay } from "../support/overlay.ts";
import { testUnless } from "../support/unless.ts";

/** A Debian release: trixie is Proxmox VE 9's, bookworm 8's. */
const SUITE = process.env["PMXCFS_IPC_SYSTEMD"];
const PACKAGES = "systemd,systemd-sysv,dbus,init-system-helpers,procps,util-linux";
/** A minute on an idle machine. */
const LONGEST_S = 400;
const TRIED = 22;

function missing(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root, for a container";
  const tools = ["unshare", "systemd-nspawn", ...(SUITE === undefined ? [] : ["mmdebstrap"])];
  const tool = tools.find((name) => Bun.which(name) === null);
  if (tool !== undefined) return `needs ${tool}`;
  if (!existsSync("/dev/fuse")) return "needs /dev/fuse";
  return SUITE === undefined ? noOverlay() : undefined;
}

/** A boot target with only the journal and the tests. */
const TARGET = `[Unit]
Wants=systemd-journald.service on-systemd.service
After=on-systemd.service
`;
const UNIT = `[Service]
Type=oneshot
ExecStart=/bin/bash -c "/bin/bash /root/on-systemd.sh > /root/results 2>&1"
ExecStopPost=/bin/systemctl exit --no-block --force --force
`;

/** Shell lines that make /mnt/root a root file system to boot. */
function makeRoot(directory: string): string {
  if (SUITE === undefined) {
    return `mkdir /mnt/upper /mnt/work /mnt/root
      mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root`;
  }
  // An outdated mirror is good enough.
  const valid = `--aptopt='Acquire::Check-Valid-Until "false"'`;
  return `mmdebstrap --variant=minbase --include=${PACKAGES} ${valid} ${SUITE} ${directory}/root
    mkdir /mnt/root
    mount --bind ${directory}/root /mnt/root`;
}

describe("under a real systemd", () => {
  const directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-systemd-"));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  testUnless(missing())(
    "every step of on-systemd.sh passes",
    async () => {
      // Not compressed: package.test.ts tests the package that is distributed.
      const deb = buildDeb({ ...(await prepare(HERE, directory)), compression: "none" });
      const units = "/mnt/root/etc/systemd/system";
      const script = `set -e
        mount -t tmpfs tmpfs /mnt
        ${makeRoot(directory)}
        mount -t tmpfs tmpfs /run
        cp ${deb} /mnt/root/root/package.deb
        cp ${join(import.meta.dir, "on-systemd.sh")} /mnt/root/root/
        printf %s ${Bun.$.escape(UNIT)} > ${units}/on-systemd.service
        printf %s ${Bun.$.escape(TARGET)} > ${units}/on-systemd.target
        rm -f /mnt/root/usr/bin/pmxcfs /mnt/root/usr/sbin/policy-rc.d /mnt/root/root/results
        timeout -k 5 ${LONGEST_S} systemd-nspawn -q --register=no --keep-unit --bind=/dev/fuse \\
          -D /mnt/root \\
          --boot systemd.unit=on-systemd.target < /dev/null > /mnt/boot 2>&1 || true
        cat /mnt/root/root/results || cat /mnt/boot`;
      const { stdout } = Bun.spawnSync([
        "unshare",
        "--mount",
        "bash",
        "-c",
        `exec 2>&1; ${script}`,
      ]);
      const lines = stdout.toString();
      expect(lines).not.toContain("FAILED");
      expect(lines.split("\n").filter((line) => line.startsWith("ok "))).toHaveLength(TRIED);
    },
    (LONGEST_S + 140) * 1000,
  );
});
