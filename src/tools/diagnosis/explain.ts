/**
 * `explain`: from pasted lines to what they mean. Offline and tolerant: whatever stands around the
 * known words (time stamps, program names, quotes, colours) is ignored. A log is read line by
 * line, and each line for itself, so that time grows with its length and words of different lines
 * are never taken together. A libc text counts only in a line that is about the IPC, /etc/pve,
 * /dev/shm or the database, or where it stands alone: everything else prints them too.
 */
import { requestOf as cfsRequest } from "../../pmxcfs/requests/table.ts";
import { CLIENT_TEXTS } from "./texts/client.ts";
import { CLUSTER_TEXTS } from "./texts/cluster.ts";
import { CODES, type CodeName, isCode, rowOf } from "./codes.ts";
import type { Cause, ErrnoWord, ErrorText, Place } from "./error-text.ts";
import { HA_TEXTS } from "./texts/ha.ts";
import { LOG_TEXTS } from "./texts/log.ts";
import { COROSYNC_TEXTS } from "./texts/corosync.ts";
import { NEIGHBOUR_TEXTS } from "./texts/neighbour.ts";
import { PVE_TEXTS } from "./texts/pve.ts";
import { SERVER_TEXTS } from "./texts/server.ts";
import strerror from "./strerror.json";
import { stripVTControlCharacters } from "node:util";

/** All texts, by what prints them. */
export const TEXT_GROUPS = [
  ["Commands, and programs that use the IPC or /etc/pve", CLIENT_TEXTS],
  ["pmxcfs and its service", SERVER_TEXTS],
  ["The cluster: quorum, locks", CLUSTER_TEXTS],
  ["corosync", COROSYNC_TEXTS],
  ["High availability", HA_TEXTS],
  ["PVE's own tools and daemons", PVE_TEXTS],
  ["What stands beside pmxcfs, and is no fault of it", NEIGHBOUR_TEXTS],
  ["Other lines of these logs and paths", LOG_TEXTS],
] as const satisfies readonly (readonly [heading: string, texts: readonly ErrorText[]])[];

export const TEXTS: readonly ErrorText[] = TEXT_GROUPS.flatMap(([, texts]) => texts);

/** Texts of a program say more than the libc words at the end of its line: they are tried first. */
const BY_DETAIL: readonly ErrorText[] = [
  ...SERVER_TEXTS,
  ...HA_TEXTS,
  ...CLUSTER_TEXTS,
  ...COROSYNC_TEXTS,
  ...NEIGHBOUR_TEXTS,
  ...PVE_TEXTS,
  ...CLIENT_TEXTS,
];

/** The meaning of a failed request whose words are no errno of any request. */
const OTHER_ERROR = TEXTS.find(({ id }) => id === "ipc-other-error");

export interface Explanation {
  readonly text: ErrorText;
  /** Those that the pasted line points to first. */
  readonly causes: readonly Cause[];
  /** The request that the line names, if any. */
  readonly request: string | undefined;
}

/** Longer lines are searched in pieces of this length, which overlap by OVERLAP_CHARS. */
const PIECE_CHARS = 2_000;
const OVERLAP_CHARS = 200;

/** Any pattern of any text: a line that does not match this needs no further search, as most. */
const ANY = new RegExp(
  [...BY_DETAIL, ...LOG_TEXTS]
    .flatMap(({ patterns = [] }) => patterns.map(({ source }) => source))
    .join("|"),
);

const PLACES: Readonly<Record<Place, RegExp>> = {
  ipc: /\bipcc\b|ipcc_|access control list|\bqb_|@pve2\b|cluster log failed/,
  pve: /\/etc\/pve\b|\bpmxcfs\b/,
  shm: /\/dev\/shm\b/,
  database: /config\.db|\/var\/lib\/pve-cluster|\[database\]|\[main\] crit/,
};
const ANY_PLACE = new RegExp(
  Object.values(PLACES)
    .map(({ source }) => source)
    .join("|"),
);

/** A request that failed, and the words after it. */
const FAILED_REQUEST = /ipcc_?send_rec ?(?:\[\d+\])? ?failed:? ?(.*)$/;

/** Words of strerror(3) -> its name; longer ones first, because some contain others. */
const WORDS: readonly (readonly [string, ErrnoWord])[] = Object.entries(strerror)
  .flatMap(([name, texts]) => texts.map((text) => [plain(text), name as ErrnoWord] as const))
  .toSorted(([a], [b]) => b.length - a.length);

/** Linux errno numbers, for programs that print only the number. */
const NUMBERS: Readonly<Record<number, ErrnoWord>> = {
  1: "EPERM",
  2: "ENOENT",
  5: "EIO",
  9: "EBADF",
  11: "EAGAIN",
  12: "ENOMEM",
  13: "EACCES",
  22: "EINVAL",
  24: "EMFILE",
  27: "EFBIG",
  28: "ENOSPC",
  30: "EROFS",
  98: "EADDRINUSE",
  105: "ENOBUFS",
  107: "ENOTCONN",
  110: "ETIMEDOUT",
  111: "ECONNREFUSED",
};

/** Normalizes a line for the patterns: lower case, plain quotes, single spaces. */
function plain(text: string): string {
  return stripVTControlCharacters(text)
    .replaceAll(/[\u2018\u2019\u201C\u201D"`]/g, "'")
    .replaceAll(/\s+/g, " ")
    .trim()
    .toLowerCase();
}

/** Programs whose lines with nothing but a libc text are about the IPC. */
const PVE_PROGRAM =
  /^(pve[\w-]*|qm|pct|ha-manager|vzdump|pmxcfs(-ipc)?|spiceproxy|error|fatal|failed)$/;

/** A line without time stamp, host and program; undefined when another program wrote it. */
function bare(line: string): string | undefined {
  const logged = /^.{0,60}?\b([\w.-]+)\[\d+\]: (.*)$/.exec(line);
  const named = logged ?? /^(?:-?\w*sh: )?([\w.-]+): (.*)$/.exec(line);
  const [, program = "", rest = ""] = named ?? [];
  if (named === null) return line;
  return PVE_PROGRAM.test(program)
    ? rest.replace(/^(?:[\w ]{1,60} )?(?:error|failed): /, "")
    : undefined;
}

/** The errno that the words of a line stand for. */
function errnoIn(line: string): ErrnoWord | undefined {
  const named = WORDS.find(([words]) => line.includes(words))?.[1];
  if (named !== undefined) return named;
  const [, symbol] = /\b(e[a-z]{3,14})\b/.exec(line) ?? [];
  const name = symbol?.toUpperCase() ?? "";
  if (Object.hasOwn(strerror, name)) return name as ErrnoWord;
  const [, number] = /\b(?:errno|os error|error|rc)\b[:= ]*-?(\d{1,3})\b/.exec(line) ?? [];
  if (number === undefined) return /\berrno\b[:= ]*-1\b/.test(line) ? "UNKNOWN" : undefined;
  return Number(number) === 1 && line.includes("-1") ? "UNKNOWN" : NUMBERS[Number(number)];
}

/** The errno of a line that consists of its words only, perhaps with a number. */
function errnoAlone(line: string): ErrnoWord | undefined {
  const rest = bare(line);
  if (rest === undefined || rest.length > 60) return undefined;
  const words = rest.replace(/[.!:]*( ?\(\d+\))?$/, "").replace(/:? -?1$/, "");
  const exact = WORDS.find(([known]) => known === words)?.[1];
  if (exact !== undefined) return exact;
  return /^(errno:? ?-?\d+|e[a-z]{3,14})$/.test(rest) ? errnoIn(rest) : undefined;
}

interface Reading {
  readonly places: ReadonlySet<Place>;
  readonly errno: ErrnoWord | undefined;
}

/** The subject of a line, and the errno it contains. */
function read(line: string): Reading {
  const alone = errnoAlone(line);
  if (alone !== undefined) return { places: new Set(["ipc"]), errno: alone };
  if (!ANY_PLACE.test(line)) return { places: new Set(), errno: undefined };
  const all = Object.entries(PLACES).filter(([, words]) => words.test(line));
  return { places: new Set(all.map(([place]) => place as Place)), errno: errnoIn(line) };
}

/** Whether a text is about this line. */
function matches(
  { patterns = [], errno = [], places = [] }: ErrorText,
  line: string,
  reading: Reading,
): boolean {
  if (patterns.some((pattern) => pattern.test(line))) return true;
  const named = reading.errno !== undefined && errno.includes(reading.errno);
  return named && places.some((place) => reading.places.has(place));
}

/** `ipcc_send_rec[4]` -> `SET_STATUS`. */
function requestOf(line: string): string | undefined {
  const id = Number(/ipcc_?send_rec ?\[(\d+)\]/.exec(line)?.[1] ?? Number.NaN);
  return cfsRequest(id)?.name;
}

function inOrder(causes: readonly Cause[], line: string): Cause[] {
  const pointed = causes.filter(({ signs }) => signs?.test(line) === true);
  return [...pointed, ...causes.filter((cause) => !pointed.includes(cause))];
}

/** A line that names its program with a pid; and words that make such a line relevant here. */
const PROGRAM = /^.{0,60}?\b([\w.@/-]+)\[\d+\]: /;
const OURS = alternatives(
  "ipcc qb_ cs_err_ /etc/pve pmxcfs pve proxmox corosync rrdcached watchdog cfs[-_]lock",
  "\\bha[-_] systemd\\[ kernel\\[ config\\.db",
);
/** A line that names its program without a pid; and the programs and headings that are known. */
const NAMED = /^([a-z_][\w.@-]*): /;
const KNOWN = new RegExp(
  `^(${
    alternatives(
      "error fatal failed warning warn info notice crit message detail tip fence quorum quorate",
      "expected qm pct vzdump pve[\\w-]* proxmox[\\w-]* kvm qemu[\\w-]* _*lxc[\\w-]* sync_wait",
      "active loaded process problem issue help output log line status stderr node\\w* host\\w*",
      "do_start safe_mount fuse fusermount3? umount mount hostname kernel systemd systemctl dpkg",
      "modprobe (ba|da|z)?sh sudo cat cp mv rm rmdir mkdir touch ls ln find stat df sed tee chmod",
      "chown tar rsync nano vi vim diff grep sqlite3 tls_\\w+ ceph rados\\w* wget curl ssh scp",
    ).source
  })$`,
);

function alternatives(...words: readonly string[]): RegExp {
  return new RegExp(words.flatMap((some) => some.split(" ")).join("|"));
}

/** True when a program that is no part of a node wrote this line, about something else. */
function isForeign(line: string): boolean {
  if (OURS.test(line)) return false;
  const [, program] = NAMED.exec(line) ?? [];
  return PROGRAM.test(line) || (program !== undefined && !KNOWN.test(program));
}

/** The texts that match a line; those that only identify its log where no other matches. */
function textsIn(line: string): ErrorText[] {
  const reading = read(line);
  const failed = FAILED_REQUEST.test(line);
  if (reading.errno === undefined && !failed && !ANY.test(line)) return [];
  const texts = isForeign(line) ? NEIGHBOUR_TEXTS : BY_DETAIL;
  const found = texts.filter((text) => matches(text, line, reading));
  if (found.length > 0) return found;
  if (failed && OTHER_ERROR !== undefined) return [OTHER_ERROR];
  return LOG_TEXTS.filter((text) => matches(text, line, reading)).slice(0, 1);
}

/** A line that begins like a record of a log: a date, a time, or a program with its pid. */
const RECORD = /^(\w{3} [ \d]\d |\d{4}-\d\d-\d\d|\d\d:\d\d|\[|[\w.-]+\[\d+\]:|\S+ \S+\[\d+\]:)/;

/** Collects the meanings of the lines of a text, each once, the most specific first. */
export class Explainer {
  readonly #found = new Map<ErrorText, Explanation>();
  #line = "";
  #rest = "";

  /** The next piece of the text, of any length. */
  write(piece: string): void {
    const lines = `${this.#rest}${piece}`.split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#add(line);
    // A text without line breaks must not be buffered without end.
    while (this.#rest.length > PIECE_CHARS) {
      this.#add(this.#rest.slice(0, PIECE_CHARS));
      this.#rest = this.#rest.slice(PIECE_CHARS - OVERLAP_CHARS);
    }
  }

  /** What was found; empty when nothing is known. */
  end(): Explanation[] {
    this.#add(this.#rest);
    this.#flush();
    this.#rest = "";
    return [...BY_DETAIL, ...LOG_TEXTS].flatMap((text) => this.#found.get(text) ?? []);
  }

  /**
   * Mail programs break lines: an indented line that is no record of its own continues the last
   * one.
   */
  #add(line: string): void {
    const goesOn = /^\s+\S/.test(line) && !RECORD.test(line.trimStart());
    if (!goesOn || this.#line.length + line.length > PIECE_CHARS) this.#flush();
    this.#line = this.#line === "" ? line : `${this.#line} ${line}`;
  }

  #flush(): void {
    const line = this.#line;
    this.#line = "";
    for (let at = 0; at < line.length; at += PIECE_CHARS - OVERLAP_CHARS) {
      this.#explain(plain(line.slice(at, at + PIECE_CHARS)));
    }
  }

  #explain(line: string): void {
    for (const text of textsIn(line)) {
      if (this.#found.has(text)) continue;
      this.#found.set(text, {
        text,
        causes: inOrder(text.causes, line),
        request: requestOf(line),
      });
    }
  }
}

/**
 * What is known about these lines; each text once, the most specific first; empty when nothing is.
 */
export function explain(pasted: string): Explanation[] {
  const explainer = new Explainer();
  explainer.write(pasted);
  return explainer.end();
}

/** The code named by the words, in whatever case; undefined when they are none. */
export function codeNamed(words: string): CodeName | undefined {
  const name = words.trim().toUpperCase().replaceAll(/[- ]/g, "_");
  return isCode(name) ? name : undefined;
}

/** Words that look like a code (`SHM_FUL`): one word of letters and underscores. */
export function looksLikeCode(words: string): boolean {
  return /^[A-Z]{2,}(_[A-Z]+)+$|^[a-z]{2,}(_[a-z]+)+$/.test(words.trim());
}

/** The texts a person sees because of `code`. */
export function textsOf(code: CodeName): ErrorText[] {
  const ids = rowOf(code).seen ?? [];
  return TEXTS.filter(({ id }) => ids.includes(id));
}

/** Names of all codes, for a suggestion. */
export const CODE_NAMES: readonly string[] = Object.keys(CODES);
