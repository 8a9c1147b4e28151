/**
 * A Debian package from a built program: stages the files, writes the control data, and runs
 * dpkg-deb. Owners are root and times are the given date, so the same input gives the same bytes.
 * packaging/debian/ has the files that are copied unchanged.
 */
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync } from "node:fs";
import { copyFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { gzipSync } from "node:zlib";
import { BuildFailure } from "../build.ts";
import { wrap } from "../src/base/table.ts";
import { debianChangelog, debianVersion, maintainer } from "./documents.ts";

const ROOT = join(import.meta.dir, "..");
const DEBIAN = join(import.meta.dir, "debian");
const PACKAGE = "pmxcfs-ipc";
const DOCUMENTS = `usr/share/doc/${PACKAGE}`;

/** The pages that are installed: all of docs/, without those of docs/internals/. */
const MANUALS = readdirSync(join(ROOT, "docs"))
  .filter((name) => name.endsWith(".md"))
  .map((name) => name.replace(/\.md$/, ""));

const DESCRIPTION = `pmxcfs provides /etc/pve, the replicated configuration of Proxmox VE, and
answers requests of its tools through a libqb service named pve2. This is a pmxcfs for unmodified
clients and nodes: with mount and cluster, or only as that service from a plain directory, so that
Proxmox code can be tested without FUSE, or from a config.db, also one of a dead node.

The tools diagnose the IPC of a machine, check servers for compatibility, put load on them, and
print, record and replay requests and answers. The package installs beside pve-cluster and does not
change it; deploy.md.gz in /usr/share/doc/pmxcfs-ipc says how to switch a node over and back.`;

export interface DebInput {
  /** Debian's name: amd64, arm64. */
  readonly architecture: string;
  readonly program: string;
  /** The shim inside the program; the glibc it needs is read from it. */
  readonly shim: string;
  /** The version of the program; the package's revision is appended. */
  readonly version: string;
  /** Seconds since the epoch. */
  readonly date: number;
  readonly manPages: ReadonlyMap<string, string>;
  readonly completions: Readonly<Record<"bash" | "zsh" | "fish", string>>;
  /** Alert rules for Prometheus, and a dashboard for Grafana. */
  readonly alerts: string;
  readonly dashboard: string;
  readonly copyright: string;
  readonly sbom: string;
  /** Directory that gets the package. */
  readonly out: string;
  /** `none`, for packages of tests, takes a second of CPU instead of half a minute. */
  readonly compression?: "xz" | "none";
}

/** The newest glibc version whose symbols `files` use, as `2.33`. */
export function glibcNeeded(files: readonly string[]): string {
  const asked = files.flatMap((file) => {
    const { stdout, exitCode } = Bun.spawnSync(["readelf", "--wide", "--version-info", file]);
    if (exitCode !== 0) throw new BuildFailure(`readelf cannot read ${file}`);
    return [...stdout.toString().matchAll(/GLIBC_(\d+)\.(\d+)/g)];
  });
  const minors = asked.filter(([, major]) => major === "2").map(([, , minor]) => Number(minor));
  return `2.${Math.max(17, ...minors)}`;
}

function compressed(text: string | Uint8Array): Uint8Array {
  return gzipSync(text, { level: 9 });
}

function descriptionParagraph(paragraph: string): string {
  return wrap(paragraph.replaceAll("\n", " "), 78)
    .map((line) => ` ${line}`)
    .join("\n");
}

function control(input: DebInput, installedKiB: number): string {
  const glibc = glibcNeeded([input.program, input.shim]);
  return [
    `Package: ${PACKAGE}`,
    `Version: ${debianVersion(input.version)}`,
    `Architecture: ${input.architecture}`,
    `Maintainer: ${maintainer()}`,
    `Installed-Size: ${installedKiB}`,
    `Depends: libc6 (>= ${glibc}), init-system-helpers (>= 1.54)`,
    "Recommends: rrdcached",
    "Suggests: rrdtool",
    "Section: admin",
    "Priority: optional",
    "Description: Proxmox VE's cluster file system (pmxcfs), and tools for any pmxcfs",
    DESCRIPTION.split("\n\n").map(descriptionParagraph).join("\n .\n"),
    "",
  ].join("\n");
}

/** A file of packaging/debian, unchanged. */
function ours(name: string): Uint8Array {
  return readFileSync(join(DEBIAN, name));
}

/** A file of the repository, gzipped. */
function document(path: string): Uint8Array {
  return compressed(readFileSync(join(ROOT, path)));
}

/** Everything that is installed: path, content, mode. */
function installed(input: DebInput): [path: string, content: string | Uint8Array, mode: number][] {
  const changelog = readFileSync(join(ROOT, "CHANGELOG.md"), "utf8");
  return [
    [`usr/lib/${PACKAGE}/name-is-free`, ours("name-is-free"), 0o755],
    [`usr/lib/systemd/system/${PACKAGE}.service`, ours(`${PACKAGE}.service`), 0o644],
    [`usr/lib/systemd/system/${PACKAGE}-backup.service`, ours(`${PACKAGE}-backup.service`), 0o644],
    [`usr/lib/systemd/system/${PACKAGE}-backup.timer`, ours(`${PACKAGE}-backup.timer`), 0o644],
    [`etc/default/${PACKAGE}`, ours("default"), 0o644],
    [`usr/share/bash-completion/completions/${PACKAGE}`, input.completions.bash, 0o644],
    [`usr/share/zsh/vendor-completions/_${PACKAGE}`, input.completions.zsh, 0o644],
    [`usr/share/fish/vendor_completions.d/${PACKAGE}.fish`, input.completions.fish, 0o644],
    [`usr/share/lintian/overrides/${PACKAGE}`, ours("lintian-overrides"), 0o644],
    [`${DOCUMENTS}/copyright`, input.copyright, 0o644],
    [`${DOCUMENTS}/LICENSE.gz`, document("LICENSE"), 0o644],
    [`${DOCUMENTS}/changelog.gz`, compressed(changelog), 0o644],
    [`${DOCUMENTS}/changelog.Debian.gz`, compressed(debianChangelog(changelog, input.date)), 0o644],
    [`${DOCUMENTS}/examples/pve-cluster.conf`, ours("pve-cluster.conf"), 0o644],
    [`${DOCUMENTS}/examples/prometheus-alerts.yml`, input.alerts, 0o644],
    [`${DOCUMENTS}/examples/grafana-dashboard.json`, input.dashboard, 0o644],
    [`${DOCUMENTS}/sbom.cdx.json`, input.sbom, 0o644],
    ...MANUALS.map((name): [string, Uint8Array, number] => [
      `${DOCUMENTS}/${name}.md.gz`,
      document(`docs/${name}.md`),
      0o644,
    ]),
    ...[...input.manPages].map(([name, page]): [string, Uint8Array, number] => [
      `usr/share/man/man1/${name}.gz`,
      compressed(page),
      0o644,
    ]),
  ];
}

function put(root: string, path: string, content: string | Uint8Array, mode: number): void {
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
  writeFileSync(file, content);
  chmodSync(file, mode);
}

function filesBelow(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .toSorted();
}

function md5sums(root: string): string {
  return filesBelow(root)
    .filter((path) => !path.startsWith("etc/") && !path.startsWith("DEBIAN/"))
    .map((path) => {
      const sum = createHash("md5")
        .update(readFileSync(join(root, path)))
        .digest("hex");
      return `${sum}  ${path}\n`;
    })
    .join("");
}

/** Everything under `root` gets one time and, where it is a directory, one mode. */
function settle(root: string, date: number): void {
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isDirectory()) chmodSync(path, 0o755);
    utimesSync(path, date, date);
  }
  chmodSync(root, 0o755);
  utimesSync(root, date, date);
}

/** Makes the package; returns its path. */
export function buildDeb(input: DebInput): string {
  if (Bun.which("dpkg-deb") === null)
    throw new BuildFailure("no dpkg-deb: apt-get install dpkg-dev");
  const name = `${PACKAGE}_${debianVersion(input.version)}_${input.architecture}.deb`;
  const stage = join(input.out, `.deb-${process.pid}-${input.architecture}`);
  rmSync(stage, { recursive: true, force: true });
  try {
    for (const [path, content, mode] of installed(input)) put(stage, path, content, mode);
    const program = join(stage, "usr/bin", PACKAGE);
    mkdirSync(dirname(program), { recursive: true });
    copyFileSync(input.program, program);
    chmodSync(program, 0o755);
    const bytes = filesBelow(stage).reduce(
      (sum, path) => sum + Bun.file(join(stage, path)).size,
      0,
    );
    const sums = md5sums(stage);
    put(stage, "DEBIAN/control", control(input, Math.ceil(bytes / 1024)), 0o644);
    put(stage, "DEBIAN/md5sums", sums, 0o644);
    put(stage, "DEBIAN/conffiles", `/etc/default/${PACKAGE}\n`, 0o644);
    for (const script of ["postinst", "prerm", "postrm"]) {
      put(stage, `DEBIAN/${script}`, readFileSync(join(DEBIAN, script)), 0o755);
    }
    settle(stage, input.date);
    const out = join(input.out, name);
    // xz -2 takes a quarter of the time of -6 and makes a package a tenth larger.
    const compression = input.compression === "none" ? ["-Znone"] : ["-Zxz", "-z2"];
    const { exitCode, stderr } = Bun.spawnSync(
      ["dpkg-deb", "--root-owner-group", ...compression, "--build", stage, out],
      { env: { ...process.env, SOURCE_DATE_EPOCH: String(input.date) } },
    );
    if (exitCode !== 0) throw new BuildFailure(`dpkg-deb failed: ${stderr.toString().trim()}`);
    return out;
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}
