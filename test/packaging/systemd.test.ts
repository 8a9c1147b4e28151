/**
 * The package under a real systemd: boots a fresh Debian in systemd-nspawn and runs on-systemd.sh
 * in it. Takes a minute and a mirror, so it is asked for: PMXCFS_IPC_SYSTEMD names the release.
 */
import { afterAll, describe, expect } from "bun:test";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildDeb } from "../../packaging/deb.ts";
import { HERE, prepare } from "../../packaging/make.ts";
import { testUnless } from "../support/unless.ts";

/** A Debian release: trixie is Proxmox VE 9's, bookworm 8's. */
const SUITE = process.env["PMXCFS_IPC_SYSTEMD"];
const TOOLS = ["mmdebstrap", "systemd-nspawn"];
const PACKAGES = "systemd,systemd-sysv,dbus,init-system-helpers,procps,util-linux";
const LONGEST_MS = 290_000;

function missing(): string | undefined {
  if (SUITE === undefined) return "takes minutes: ask with PMXCFS_IPC_SYSTEMD=trixie";
  if (process.getuid?.() !== 0) return "needs root";
  const tool = TOOLS.find((name) => Bun.which(name) === null);
  return tool === undefined ? undefined : `needs ${tool}`;
}

/** Runs at the end of booting, and ends the container. */
const UNIT = `[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/bash -c "/root/on-systemd.sh > /root/results 2>&1"
ExecStopPost=/bin/systemctl poweroff --no-block
[Install]
WantedBy=default.target
`;

describe("under a real systemd", () => {
  const directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-systemd-"));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  testUnless(missing())(
    "everything the package promises",
    async () => {
      const root = join(directory, "root");
      const words = ["mmdebstrap", "--variant=minbase", `--include=${PACKAGES}`];
      // A mirror that lags behind serves as well.
      words.push('--aptopt=Acquire::Check-Valid-Until "false"', SUITE ?? "", root);
      const bootstrap = Bun.spawnSync(words, { stderr: "pipe" });
      expect({
        code: bootstrap.exitCode,
        tail: bootstrap.stderr.toString().slice(-500),
      }).toMatchObject({ code: 0 });
      const deb = buildDeb(await prepare(HERE, directory));
      copyFileSync(deb, join(root, "root/package.deb"));
      copyFileSync(join(import.meta.dir, "on-systemd.sh"), join(root, "root/on-systemd.sh"));
      chmodSync(join(root, "root/on-systemd.sh"), 0o755);
      const units = join(root, "etc/systemd/system");
      writeFileSync(join(units, "on-systemd.service"), UNIT);
      mkdirSync(join(units, "default.target.wants"), { recursive: true });
      symlinkSync("../on-systemd.service", join(units, "default.target.wants/on-systemd.service"));
      // 64 MiB of /dev/shm, as containers have it, hold twenty clients.
      const boot = ["systemd-nspawn", "--register=no", "--keep-unit", "-D", root, "--boot"];
      Bun.spawnSync(["timeout", "-k", "5", "150", ...boot], { stdin: "ignore" });
      const results = readFileSync(join(root, "root/results"), "utf8");
      expect(results).not.toContain("FAILED");
      expect(results.split("\n").filter((line) => line.startsWith("ok ")).length).toBe(18);
    },
    LONGEST_MS,
  );
});
