/**
 * The Debian package: its content, no complaint of lintian and systemd-analyze, the same bytes from
 * the same input; and on a copy of this machine: installed, refused, upgraded, removed, purged.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildDeb, glibcNeeded } from "../../packaging/deb.ts";
import { HERE, prepare, type Prepared, sha256 } from "../../packaging/make.ts";
import { inOverlay, noOverlay } from "../support/overlay.ts";
import { REPOSITORY } from "../support/native.ts";
import { testUnless } from "../support/unless.ts";
import { bundle, lacking } from "./shipped.ts";

const DEBIAN = join(REPOSITORY, "packaging/debian");
/** Time limit for a build and two packages on a busy machine. */
const BUILD_MS = 500_000;

let directory: string;
let prepared: Prepared;
let deb: string;

function run(...words: string[]): { exitCode: number; stdout: string; stderr: string } {
  const { exitCode, stdout, stderr } = Bun.spawnSync(words, {
    // lintian leaves files in its temporary directory.
    env: { ...process.env, LC_ALL: "C.UTF-8", TMPDIR: directory },
  });
  return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-package-"));
  prepared = await prepare(HERE, directory);
  deb = buildDeb(prepared);
}, BUILD_MS);

afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe("the package", () => {
  test("has the program, its unit, one conffile, man pages, completion and documents", () => {
    const { stdout } = run("dpkg-deb", "--contents", deb);
    const files = stdout.split("\n").filter((line) => line.startsWith("-"));
    expect(files.filter((line) => !line.includes(" root/root "))).toEqual([]);
    const names = files.map((line) => line.replace(/^.* \.\//, ""));
    expect(names).toEqual(
      expect.arrayContaining([
        "usr/bin/pmxcfs-ipc",
        "usr/lib/systemd/system/pmxcfs-ipc-backup.service",
        "usr/lib/systemd/system/pmxcfs-ipc-backup.timer",
        "usr/lib/systemd/system/pmxcfs-ipc.service",
        "etc/default/pmxcfs-ipc",
        "usr/share/man/man1/pmxcfs-ipc-serve.1.gz",
        "usr/share/bash-completion/completions/pmxcfs-ipc",
        "usr/share/zsh/vendor-completions/_pmxcfs-ipc",
        "usr/share/fish/vendor_completions.d/pmxcfs-ipc.fish",
        "usr/share/doc/pmxcfs-ipc/examples/prometheus-alerts.yml",
        "usr/share/doc/pmxcfs-ipc/examples/grafana-dashboard.json",
        "usr/share/doc/pmxcfs-ipc/containers.md.gz",
        "usr/share/doc/pmxcfs-ipc/security.md.gz",
        "usr/share/doc/pmxcfs-ipc/copyright",
        "usr/share/doc/pmxcfs-ipc/changelog.Debian.gz",
        "usr/share/doc/pmxcfs-ipc/deploy.md.gz",
        "usr/share/doc/pmxcfs-ipc/running.md.gz",
        "usr/share/doc/pmxcfs-ipc/tracing.md.gz",
        "usr/share/doc/pmxcfs-ipc/sbom.cdx.json",
      ]),
    );
    expect(names.filter((name) => name.startsWith("etc/"))).toEqual(["etc/default/pmxcfs-ipc"]);
    expect(run("dpkg-deb", "--info", deb, "conffiles").stdout).toBe("/etc/default/pmxcfs-ipc\n");
  });

  test("names all parts of its program in SBOM and copyright file", async () => {
    const { shipped } = await bundle();
    const papers = ["sbom.cdx.json", "copyright"].map((name) => {
      const member = `./usr/share/doc/pmxcfs-ipc/${name}`;
      const words = ["bash", "-c", 'dpkg-deb --fsys-tarfile "$0" | tar -xO "$1"', deb, member];
      return run(...words).stdout;
    });
    const [sbom = "", copyright = ""] = papers;
    expect(shipped.length).toBeGreaterThan(4);
    expect(lacking(shipped, sbom, copyright)).toEqual([]);
    expect(sbom).toContain(sha256(prepared.program));
  });

  test("depends on the glibc whose symbols it uses, and on no libqb", () => {
    const depends = run("dpkg-deb", "--field", deb, "Depends").stdout.trim();
    const glibc = glibcNeeded([prepared.program, prepared.shim]);
    expect(depends).toBe(`libc6 (>= ${glibc}), init-system-helpers (>= 1.54)`);
    expect(run("dpkg-deb", "--field", deb, "Conflicts").stdout.trim()).toBe("");
  });

  test(
    "lintian reports no error and no warning",
    () => {
      const words = ["--allow-root", "--fail-on", "error,warning", "--pedantic", deb];
      expect(run("lintian", ...words)).toMatchObject({ exitCode: 0 });
    },
    BUILD_MS,
  );

  test(
    "the same input gives the same bytes",
    () => {
      const out = join(directory, "again");
      mkdirSync(out);
      const program = join(out, "program-of-another-time");
      copyFileSync(prepared.program, program);
      expect(sha256(buildDeb({ ...prepared, program, out }))).toBe(sha256(deb));
    },
    BUILD_MS,
  );
});

/** A directory of units, and of the programs they call, for systemd-analyze. */
function verify(units: Record<string, string>, name: string) {
  const root = mkdtempSync(join(directory, "units-"));
  for (const [path, text] of Object.entries(units)) {
    mkdirSync(join(root, path, ".."), { recursive: true });
    // The programs are not installed on this machine.
    const there = text.replaceAll(/\/usr\/(bin|lib)\/(pmxcfs[a-z/-]*)/g, "/bin/true");
    writeFileSync(join(root, path), there);
  }
  const env = { PATH: process.env["PATH"] ?? "", SYSTEMD_UNIT_PATH: `${root}:` };
  const words = [
    "systemd-analyze",
    "verify",
    "--man=no",
    "--recursive-errors=no",
    join(root, name),
  ];
  const { exitCode, stderr } = Bun.spawnSync(words, { env });
  return { exitCode, stderr: stderr.toString() };
}

function ours(): string {
  return readFileSync(join(DEBIAN, "pmxcfs-ipc.service"), "utf8");
}

describe("the unit", () => {
  test("systemd-analyze accepts it", () => {
    const units = { "pmxcfs-ipc.service": ours() };
    expect(verify(units, "pmxcfs-ipc.service")).toEqual({ exitCode: 0, stderr: "" });
  });

  test("systemd-analyze reports a unit with a fault", () => {
    const units = { "pmxcfs-ipc.service": `${ours()}\n[Service]\nWatchdogSeconds=3\n` };
    expect(verify(units, "pmxcfs-ipc.service").stderr).toContain("WatchdogSeconds");
  });

  test.each(["service", "timer"])("systemd-analyze accepts the backup's %s", (kind) => {
    const names = ["service", "timer"].map((each) => `pmxcfs-ipc-backup.${each}`);
    const units = Object.fromEntries(
      names.map((name) => [name, readFileSync(join(DEBIAN, name), "utf8")]),
    );
    expect(verify(units, `pmxcfs-ipc-backup.${kind}`)).toEqual({ exitCode: 0, stderr: "" });
  });

  test("the drop-in makes a forking pve-cluster run our program", () => {
    const theirs = [
      "[Unit]\nDescription=x\nConditionFileIsExecutable=/usr/bin/pmxcfs",
      "[Service]\nType=forking\nPIDFile=/run/pve-cluster.pid\nExecStart=/usr/bin/pmxcfs",
    ].join("\n");
    const units = {
      "pve-cluster.service": theirs,
      "pve-cluster.service.d/pmxcfs-ipc.conf": readFileSync(
        join(DEBIAN, "pve-cluster.conf"),
        "utf8",
      ),
    };
    expect(verify(units, "pve-cluster.service")).toEqual({ exitCode: 0, stderr: "" });
  });
});

describe("on a machine", () => {
  const missing = noOverlay();

  testUnless(missing)(
    "is installed, enabled, run, keeps a changed conffile, and is removed",
    () => {
      const { output } = inOverlay(`
      set -e
      dpkg --install ${deb} >/dev/null 2>&1
      dpkg --verify pmxcfs-ipc && echo verified
      test -L /etc/systemd/system/multi-user.target.wants/pmxcfs-ipc.service && echo enabled
      cd / && pmxcfs-ipc --version | head -n 1
      man -w pmxcfs-ipc-serve
      bash -c '. /usr/share/bash-completion/completions/pmxcfs-ipc; complete -p pmxcfs-ipc'
      echo 'PMXCFS_IPC_OPTIONS="--dir /srv"' > /etc/default/pmxcfs-ipc
      dpkg --install ${deb} >/dev/null
      cat /etc/default/pmxcfs-ipc
      mkdir -p /var/lib/pmxcfs-ipc
      systemctl is-enabled pmxcfs-ipc-backup.timer || true
      systemctl enable pmxcfs-ipc-backup.timer 2>/dev/null
      dpkg --remove pmxcfs-ipc >/dev/null
      ls /etc/default/pmxcfs-ipc /usr/bin/pmxcfs-ipc 2>&1 || true
      dpkg --purge pmxcfs-ipc >/dev/null
      find /etc /usr /lib /var /run -xdev -name '*pmxcfs-ipc*'
      echo purged
    `);
      expect(output.replace(/ \(git .*/, "")).toBe(
        [
          "verified",
          "enabled",
          `pmxcfs-ipc ${prepared.version}`,
          "/usr/share/man/man1/pmxcfs-ipc-serve.1.gz",
          "complete -F _pmxcfs_ipc pmxcfs-ipc",
          'PMXCFS_IPC_OPTIONS="--dir /srv"',
          "disabled",
          "ls: cannot access '/usr/bin/pmxcfs-ipc': No such file or directory",
          "/etc/default/pmxcfs-ipc",
          "purged",
          "",
        ].join("\n"),
      );
    },
    BUILD_MS,
  );

  testUnless(missing)(
    "stays disabled where pmxcfs serves the node, and prints that",
    () => {
      const { output } = inOverlay(`
      install -m 755 /bin/true /usr/bin/pmxcfs
      dpkg --install ${deb} | grep pmxcfs-ipc: ; dpkg --install ${deb} | grep pmxcfs-ipc:
      ls /etc/systemd/system/multi-user.target.wants/pmxcfs-ipc.service
    `);
      expect(output).toBe(
        [
          "pmxcfs-ipc: pmxcfs serves this node, pmxcfs-ipc.service stays disabled " +
            "(/usr/share/doc/pmxcfs-ipc/deploy.md.gz)",
          "ls: cannot access '/etc/systemd/system/multi-user.target.wants/pmxcfs-ipc.service': " +
            "No such file or directory",
          "",
        ].join("\n"),
      );
    },
    BUILD_MS,
  );

  testUnless(missing)(
    "cannot be removed while pve-cluster runs it",
    () => {
      const { output, exitCode } = inOverlay(`
      dpkg --install ${deb} >/dev/null
      install -D -m 644 /usr/share/doc/pmxcfs-ipc/examples/pve-cluster.conf \\
        /etc/systemd/system/pve-cluster.service.d/pmxcfs-ipc.conf
      dpkg --remove pmxcfs-ipc
    `);
      expect(exitCode).toBe(1);
      expect(output).toContain(
        "switch back first:\n  rm /etc/systemd/system/pve-cluster.service.d/",
      );
    },
    BUILD_MS,
  );

  testUnless(missing)(
    "cannot be removed while /usr/bin/pmxcfs is a link to it, and the units' links go with it",
    () => {
      const { output } = inOverlay(`
      ln -sf pmxcfs-ipc /usr/bin/pmxcfs
      dpkg --install ${deb} >/dev/null
      systemctl enable pmxcfs-ipc.service 2>/dev/null
      dpkg --remove pmxcfs-ipc >/dev/null 2>/tmp/said
      echo "ended with $?"; grep -A 3 'is a link' /tmp/said
      pmxcfs -h | grep -c -e --local
      # Another package with that file, as apt-get has dpkg install it: the file replaces the link.
      mkdir -p /tmp/other/DEBIAN /tmp/other/usr/bin
      printf '%s\\n' 'Package: pve-cluster' 'Version: 1' 'Architecture: all' \\
        'Maintainer: x <x@x>' 'Description: x' >/tmp/other/DEBIAN/control
      install -m 755 /bin/true /tmp/other/usr/bin/pmxcfs
      dpkg-deb --build /tmp/other /tmp/other.deb >/dev/null
      dpkg --install /tmp/other.deb >/dev/null && test ! -L /usr/bin/pmxcfs && echo a file
      pmxcfs-ipc --version | grep -c pmxcfs-ipc
      dpkg --purge pmxcfs-ipc >/dev/null && echo purged
      find /etc/systemd /var/lib/systemd -name 'pmxcfs-ipc*'
    `);
      expect(output).toBe(
        [
          "ended with 1",
          "pmxcfs-ipc: /usr/bin/pmxcfs is a link to it, which pve-cluster.service runs; first:",
          "  apt-get install --reinstall pve-cluster",
          "or, where that package is not installed:",
          "  rm /usr/bin/pmxcfs",
          "1",
          "a file",
          "1",
          "purged",
          "",
        ].join("\n"),
      );
    },
    BUILD_MS,
  );
});

function ask(...words: string[]) {
  return run("sh", join(DEBIAN, "name-is-free"), ...words);
}

describe("name-is-free", () => {
  test.each([
    ["an abstract name", "\0"],
    ["a path", "/run/"],
  ])("succeeds for a free name, and fails for one with a listener: %s", (_, place) => {
    const name = `free-${process.pid}`;
    expect(ask("--socket", name)).toEqual({ exitCode: 0, stdout: "", stderr: "" });
    const listener = Bun.listen({ unix: `${place}${name}`, socket: { data() {} } });
    try {
      expect(ask("--dir", "/srv", "--socket", name)).toMatchObject({ exitCode: 1 });
      expect(ask(`--socket=${name}`).stderr).toBe(
        `the name ${name} is held by another process: not started\n`,
      );
      expect(ask("--socket", `${name}x`).exitCode).toBe(0);
    } finally {
      listener.stop(true);
    }
  });
});
