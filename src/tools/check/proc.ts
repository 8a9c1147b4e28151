/**
 * What the kernel says under /proc, parsed: pure functions from a file's text to values. Formats:
 * proc(5), Documentation/filesystems/proc.rst.
 */
export interface Stat {
  readonly command: string;
  readonly state: string;
  readonly startTicks: number;
  readonly kernel: boolean;
}

/** From /proc/PID/stat; the command's name may hold spaces and parentheses. */
export function parseStat(text: string): Stat {
  const open = text.indexOf("(");
  const close = text.lastIndexOf(")");
  const rest = text.slice(close + 2).split(" ");
  return {
    command: text.slice(open + 1, close),
    state: rest[0] ?? "?",
    // Fields 22 and 23 of the file (starttime, vsize); the rest begins at field 3.
    startTicks: Number(rest[19] ?? 0),
    kernel: rest[20] === "0",
  };
}

/** The `Key:\tvalue` lines of /proc/PID/status and /proc/meminfo. */
export function parseKeys(text: string): Map<string, string> {
  return new Map(
    text.split("\n").flatMap((line) => {
      const colon = line.indexOf(":");
      return colon < 0 ? [] : [[line.slice(0, colon), line.slice(colon + 1).trim()] as const];
    }),
  );
}

/** uid_map or gid_map: what `inside` is outside; undefined when it is not mapped. */
export function mapId(text: string, inside: number): number | undefined {
  for (const line of text.trim().split("\n")) {
    const [first = 0, outside = 0, count = 0] = line.trim().split(/\s+/).map(Number);
    if (inside >= first && inside < first + count) return outside + inside - first;
  }
  return undefined;
}

export interface Mount {
  readonly point: string;
  /** `major:minor` of the file system: two mounts of one file system have the same. */
  readonly device: string;
  readonly type: string;
  readonly source: string;
  /** Nobody can write through this mount. */
  readonly readOnly: boolean;
  /** The file system itself is writable: only this mount, in this namespace, is not. */
  readonly readOnlyHere: boolean;
}

/** Octal escapes of /proc/self/mountinfo: `\040` is a space. */
function unescape(word: string): string {
  return word.replaceAll(/\\([0-7]{3})/g, (_, code: string) =>
    String.fromCharCode(Number.parseInt(code, 8)),
  );
}

/** Mounts in the order of mounting: the last one at a point is the one that is seen. */
export function parseMounts(text: string): Mount[] {
  return text.split("\n").flatMap((line) => {
    const [left = "", right] = line.split(" - ");
    if (right === undefined) return [];
    const [, , device = "", , point = "", options = ""] = left.split(" ");
    const [type = "", source = "", superOptions = ""] = right.split(" ");
    const [here, whole] = [options, superOptions].map((list) => list.split(",").includes("ro"));
    return {
      point: unescape(point),
      device,
      type,
      source: unescape(source),
      readOnly: here === true || whole === true,
      readOnlyHere: here === true && whole !== true,
    };
  });
}

/** /proc/locks: who holds a lock on the file with this inode number. */
export function lockHolders(text: string, inode: number): number[] {
  return text.split("\n").flatMap((line) => {
    const words = line.trim().split(/\s+/);
    // A waiting process has "->" after the number.
    if (words[1] === "->") return [];
    const pid = Number(words[4]);
    return words[5]?.endsWith(`:${inode}`) === true && pid > 0 ? pid : [];
  });
}

/** avg60 of the `some` line of /proc/pressure/*, in percent. */
export function pressure60(text: string, kind: "some" | "full"): number | undefined {
  const row = new RegExp(`^${kind} .*avg60=([0-9.]+)`, "m").exec(text);
  return row === null ? undefined : Number(row[1]);
}

function limitOf(text: string, name: string, column: 0 | 1): number | undefined {
  const row = text.split("\n").find((line) => line.startsWith(name));
  const word = row?.slice(name.length).trim().split(/\s+/)[column];
  return word === undefined || word === "unlimited" ? undefined : Number(word);
}

/** The soft limit of a row of /proc/PID/limits; undefined for "unlimited". */
export function softLimit(text: string, name: string): number | undefined {
  return limitOf(text, name, 0);
}

/** The hard limit of a row of /proc/PID/limits; undefined for "unlimited". */
export function hardLimit(text: string, name: string): number | undefined {
  return limitOf(text, name, 1);
}

export interface HostsLine {
  readonly address: string;
  /** All names of the line. */
  readonly names: readonly string[];
  /** From 1. */
  readonly line: number;
}

/** The lines of an /etc/hosts that name `name`. */
export function hostsLines(text: string, name: string): HostsLine[] {
  return text.split("\n").flatMap((raw, index) => {
    const [address = "", ...names] = (raw.split("#")[0] ?? "").trim().split(/\s+/);
    return names.includes(name) ? { address, names, line: index + 1 } : [];
  });
}

/** 127.0.0.0/8, ::1, and the v4-mapped form. */
export function isLoopback(address: string): boolean {
  return /^(::ffff:)?127\./i.test(address) || address === "::1";
}

/** fe80::/10 and 169.254.0.0/16: no address another node could use. */
export function isLinkLocal(address: string): boolean {
  return /^(fe[89ab][0-9a-f]:|169\.254\.)/i.test(address);
}
