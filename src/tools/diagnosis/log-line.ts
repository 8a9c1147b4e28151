/**
 * Normalizes a line of a log (the journal as JSON, colours, typographic quotes) and finds the
 * program that wrote it. No C counterpart.
 */
import { stripVTControlCharacters } from "node:util";

/** Normalizes a line for the patterns: lower case, plain quotes, single spaces. */
export function plain(text: string): string {
  return stripVTControlCharacters(text)
    .replaceAll(/[\u2018\u2019\u201C\u201D"`]/g, "'")
    .replaceAll(/\s+/g, " ")
    .trim()
    .toLowerCase();
}

/** Keys of the message in records of log collectors, the journal's own first. */
const TEXT_KEYS = ["MESSAGE", "message", "msg", "log", "line", "t"] as const;

function textIn(record: Readonly<Record<string, unknown>>): string | undefined {
  for (const key of TEXT_KEYS) {
    const text = record[key];
    if (typeof text === "string") return text;
    // journalctl writes a message with control characters as an array of bytes.
    if (Array.isArray(text)) return Buffer.from(text.filter(Number.isInteger)).toString("utf8");
  }
  return undefined;
}

/** Turns a record in JSON (`journalctl -o json`) into the line that syslog writes. */
export function unwrapped(line: string): string {
  if (!/^\s*\{.*\}\s*$/.test(line)) return line;
  try {
    const record = JSON.parse(line) as Readonly<Record<string, unknown>>;
    const text = textIn(record);
    if (text === undefined) return line;
    const program = record["SYSLOG_IDENTIFIER"] ?? record["_COMM"];
    if (typeof program !== "string") return text;
    return `${program}[${Number(record["_PID"] ?? record["SYSLOG_PID"] ?? 0) || 0}]: ${text}`;
  } catch {
    return line;
  }
}

/** The beginning of a line with a program and its pid; OURS: words of lines about a node. */
const PROGRAM = /^.{0,60}?\b([\w.@/-]+)\[\d+\]: /;
const OURS = alternatives(
  "ipcc qb_ cs_err_ /etc/pve pmxcfs \\bpve(?!\\d) proxmox corosync rrdcached watchdog cfs[-_]lock",
  "\\bha[-_] config\\.db",
);
/** Programs whose lines are compared with all texts. */
const NODE_PROGRAM = new RegExp(
  `^\\(?(${
    alternatives(
      "pve pmxcfs proxmox corosync qm pct vzdump ha-manager spice rrdc watchdog",
      "systemd kernel kvm qemu lxc",
    ).source
  })`,
);
/** The beginning of a line with a program without a pid; KNOWN: such programs and headings. */
const NAMED = /^([a-z_][\w.@-]*): /;
const KNOWN = new RegExp(
  `^(${
    alternatives(
      "error fatal failed warning warn info notice crit message detail tip fence quorum quorate",
      "expected qm pct vzdump pve[\\w-]* proxmox[\\w-]* kvm qemu[\\w-]* _*lxc[\\w-]* sync_wait",
      "active loaded process problem issue help output log line status stderr node\\w* host\\w*",
      "do_start safe_mount fuse fusermount3? umount mount hostname kernel systemd systemctl dpkg",
      "\\w+_wdt softdog modprobe (ba|da|z)?sh sudo cat cp mv rm rmdir mkdir touch ls ln find stat df sed tee chmod",
      "chown tar rsync nano vi vim diff grep sqlite3 tls_\\w+ ceph rados\\w* wget curl ssh scp",
    ).source
  })$`,
);

/** The program of a line that has one with a pid (`pvestatd` of `pvestatd[12]: `). */
export function programOf(line: string): string | undefined {
  const [, program] = PROGRAM.exec(unwrapped(line)) ?? [];
  return program;
}

function alternatives(...words: readonly string[]): RegExp {
  return new RegExp(words.flatMap((some) => some.split(" ")).join("|"));
}

/** True if the program of the line does not belong to a node, and the line is not about a node. */
export function isForeign(line: string): boolean {
  const [prefix = "", program = ""] = PROGRAM.exec(line) ?? [];
  // The kernel writes the process that a line is about in the same form.
  if (/\bkernel: /.test(prefix)) return false;
  if (prefix === "") {
    const [, named] = NAMED.exec(line) ?? [];
    return named !== undefined && !KNOWN.test(named) && !OURS.test(line);
  }
  // The host can be named pve too, so only the message is searched.
  return (
    !NODE_PROGRAM.test(program) && !OURS.test(program) && !OURS.test(line.slice(prefix.length))
  );
}

/** A date, a time, or a program with its pid. */
const RECORD = /^(\w{3} [ \d]\d |\d{4}-\d\d-\d\d|\d\d:\d\d|\[|[\w.-]+\[\d+\]:|\S+ \S+\[\d+\]:)/;

/** True if a line begins like a log record. */
export function isRecord(line: string): boolean {
  return RECORD.test(line);
}
