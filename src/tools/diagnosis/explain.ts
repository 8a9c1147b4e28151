/**
 * `explain`: finds the error texts that match pasted lines. Works offline, and ignores time stamps,
 * program names, quotes and colours around the known words. Each line of a log is matched
 * separately, so that the time is linear in its length and words of different lines are not
 * combined. A libc text counts only in a line about the IPC, /etc/pve, /dev/shm or the database, or
 * if it is the whole line, because all programs print these texts.
 */

import { anyOf } from "./any-pattern.ts";
import { requestOf as cfsRequest } from "../../pmxcfs/requests/table.ts";
import { CLIENT_TEXTS } from "./texts/client.ts";
import { CLUSTER_TEXTS } from "./texts/cluster.ts";
import { CODES, type CodeName, isCode, rowOf } from "./codes.ts";
import type { Cause, ErrnoWord, ErrorText, Place } from "./error-text.ts";
import { GUEST_TEXTS } from "./texts/guests.ts";
import { HA_TEXTS } from "./texts/ha.ts";
import { LISTENER_TEXTS } from "./texts/listener.ts";
import { LOG_TEXTS } from "./texts/log.ts";
import { COROSYNC_TEXTS } from "./texts/corosync.ts";
import { COROSYNC_MESSAGE_TEXTS, COROSYNC_TAG } from "./texts/corosync-messages.ts";
import { JOIN_TEXTS } from "./texts/join.ts";
import { SYNC_TEXTS } from "./texts/sync.ts";
import { UNIT_NAME, UNIT_TEXTS } from "./texts/units.ts";
import { DAEMON_TEXTS } from "./texts/daemons.ts";
import { OWN_DATABASE_TEXTS } from "./texts/own-database.ts";
import { NEIGHBOUR_TEXTS } from "./texts/neighbour.ts";
import { PVE_TEXTS } from "./texts/pve.ts";
import { SERVER_TEXTS } from "./texts/server.ts";
import { isForeign, isRecord, plain, unwrapped } from "./log-line.ts";
import strerror from "./strerror.json";

/** All texts, grouped by the program that prints them. */
export const TEXT_GROUPS = [
  ["Commands, and programs that use the IPC or /etc/pve", CLIENT_TEXTS],
  ["pmxcfs and its service", SERVER_TEXTS],
  ["pmxcfs-ipc about the files of its database", OWN_DATABASE_TEXTS],
  ["pmxcfs about its socket and its clients", LISTENER_TEXTS],
  ["The cluster: quorum, locks", CLUSTER_TEXTS],
  ["Synchronisation of the nodes", SYNC_TEXTS],
  ["Forming a cluster", JOIN_TEXTS],
  ["corosync", COROSYNC_TEXTS],
  ["Other messages of corosync", COROSYNC_MESSAGE_TEXTS],
  ["High availability", HA_TEXTS],
  ["PVE's own tools and daemons", PVE_TEXTS],
  ["pveproxy, pvestatd and pvesh", DAEMON_TEXTS],
  ["Guests", GUEST_TEXTS],
  ["Units of PVE", UNIT_TEXTS],
  ["Other programs of a node: not a fault of pmxcfs", NEIGHBOUR_TEXTS],
  ["Other lines of these logs and paths", LOG_TEXTS],
] as const satisfies readonly (readonly [heading: string, texts: readonly ErrorText[]])[];

export const TEXTS: readonly ErrorText[] = TEXT_GROUPS.flatMap(([, texts]) => texts);

/** All but LOG_TEXTS; CLIENT_TEXTS is last, because libc texts are the least specific. */
const BY_DETAIL: readonly ErrorText[] = [
  ...SERVER_TEXTS,
  ...OWN_DATABASE_TEXTS,
  ...LISTENER_TEXTS,
  ...HA_TEXTS,
  ...CLUSTER_TEXTS,
  ...SYNC_TEXTS,
  ...JOIN_TEXTS,
  ...COROSYNC_TEXTS,
  ...COROSYNC_MESSAGE_TEXTS,
  ...NEIGHBOUR_TEXTS,
  ...PVE_TEXTS,
  ...DAEMON_TEXTS,
  ...GUEST_TEXTS,
  ...UNIT_TEXTS,
  ...CLIENT_TEXTS,
];

/** The text of a failed request whose errno is not one of a request. */
const OTHER_ERROR = TEXTS.find(({ id }) => id === "ipc-other-error");

export interface Explanation {
  readonly text: ErrorText;
  /** The causes that the pasted line indicates are first. */
  readonly causes: readonly Cause[];
  /** The request that the line names, if any. */
  readonly request: string | undefined;
}

/** Longer lines are searched in pieces of this length, which overlap by OVERLAP_CHARS. */
const PIECE_CHARS = 2_000;
const OVERLAP_CHARS = 200;
/** The longest line that is not split while it is read: a JSON record has 2 KiB and more. */
const LINE_CHARS = 32_768;

/** The order of an answer. */
const KINDS = ["cause", "symptom", "normal"] as const;

function rankOf({ kind = "cause" }: ErrorText): number {
  return KINDS.indexOf(kind);
}

interface Found extends Explanation {
  /** The least rank of the texts of its line, and the number of that line. */
  readonly rank: number;
  readonly line: number;
}

/** Prefixes that many patterns share. */
const BEGINNINGS: readonly string[] = [COROSYNC_TAG, UNIT_NAME];

/** All patterns as one expression, a shared prefix once: for most lines one test is enough. */
const ANY = anyOf(
  [...BY_DETAIL, ...LOG_TEXTS]
    .flatMap(({ patterns = [] }) => patterns.map(({ source }) => source))
    .map((source) => BEGINNINGS.find((words) => source.startsWith(words)) ?? source),
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

/** A failed request and the words after it. */
const FAILED_REQUEST = /ipcc_?send_rec ?(?:\[\d+\])? ?failed:? ?(.*)$/;

/** The texts of strerror(3) with their names; longer ones first, because some contain others. */
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

/** Programs whose lines that consist of a libc text are about the IPC. */
const PVE_PROGRAM =
  /^(pve[\w-]*|qm|pct|ha-manager|vzdump|pmxcfs(-ipc)?|spiceproxy|error|fatal|failed)$/;

/** A line without time stamp, host and program; undefined if the program is not one of PVE. */
function bare(line: string): string | undefined {
  const logged = /^.{0,60}?\b([\w.-]+)\[\d+\]: (.*)$/.exec(line);
  const named = logged ?? /^(?:-?\w*sh: )?([\w.-]+): (.*)$/.exec(line);
  const [, program = "", rest = ""] = named ?? [];
  if (named === null) return line;
  return PVE_PROGRAM.test(program)
    ? rest.replace(/^(?:[\w ]{1,60} )?(?:error|failed): /, "")
    : undefined;
}

/** The errno that a line contains as a libc text, a symbol or a number. */
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

/** The errno of a line that has only its libc text, with or without a number. */
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

/** The patterns of a text as one expression: a call for each pattern costs more than the search. */
const PATTERN_OF: ReadonlyMap<ErrorText, RegExp> = new Map(
  [...BY_DETAIL, ...LOG_TEXTS].flatMap((text) => {
    const sources = (text.patterns ?? []).map(({ source }) => source);
    return sources.length === 0 ? [] : [[text, new RegExp(sources.join("|"))] as const];
  }),
);

/** Whether an error text matches this line. */
function matches(text: ErrorText, line: string, reading: Reading): boolean {
  if (PATTERN_OF.get(text)?.test(line) === true) return true;
  const { errno = [], places = [] } = text;
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

/** The texts that match a line; LOG_TEXTS count only if no other text matches. */
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

/**
 * Collects the error texts of pasted lines, each once: causes before symptoms, then in the order of
 * the lines, and the texts of one line from the most to the least specific.
 */
export class Explainer {
  readonly #found = new Map<ErrorText, Found>();
  #lines = 0;
  #line = "";
  #rest = "";

  /** The next piece of the text, of any length. */
  write(piece: string): void {
    const lines = `${this.#rest}${piece}`.split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#add(line);
    // A text without line breaks must not be buffered without limit.
    while (this.#rest.length > LINE_CHARS) {
      this.#add(this.#rest.slice(0, LINE_CHARS));
      this.#rest = this.#rest.slice(LINE_CHARS - OVERLAP_CHARS);
    }
  }

  /** The explanations; empty if no text matches. */
  end(): Explanation[] {
    this.#add(this.#rest);
    this.#flush();
    this.#rest = "";
    return [...BY_DETAIL, ...LOG_TEXTS]
      .flatMap((text) => this.#found.get(text) ?? [])
      .toSorted((a, b) => a.rank - b.rank || a.line - b.line)
      .map(({ text, causes, request }) => ({ text, causes, request }));
  }

  /**
   * An indented line that is not a log record continues the line before: mail programs break lines.
   */
  #add(line: string): void {
    const goesOn = /^\s+\S/.test(line) && !isRecord(line.trimStart());
    if (!goesOn || this.#line.length + line.length > PIECE_CHARS) this.#flush();
    this.#line = this.#line === "" ? line : `${this.#line} ${line}`;
  }

  #flush(): void {
    const line = unwrapped(this.#line);
    this.#line = "";
    for (const part of line.split("\n")) {
      for (let at = 0; at < part.length; at += PIECE_CHARS - OVERLAP_CHARS) {
        this.#explain(plain(part.slice(at, at + PIECE_CHARS)));
      }
    }
  }

  #explain(line: string): void {
    this.#lines += 1;
    const texts = textsIn(line);
    const rank = Math.min(...texts.map(rankOf));
    for (const text of texts) {
      const seen = this.#found.get(text);
      if (seen !== undefined && seen.rank <= rank) continue;
      this.#found.set(text, {
        text,
        causes: inOrder(text.causes, line),
        request: requestOf(line),
        rank,
        line: this.#lines,
      });
    }
  }
}

/**
 * The explanations of these lines: each text once, the most specific first; empty if none matches.
 */
export function explain(pasted: string): Explanation[] {
  const explainer = new Explainer();
  explainer.write(pasted);
  return explainer.end();
}

/** The code with this name, in any case and with blanks or dashes; undefined if there is none. */
export function codeNamed(words: string): CodeName | undefined {
  const name = words.trim().toUpperCase().replaceAll(/[- ]/g, "_");
  return isCode(name) ? name : undefined;
}

/** The first code in a line of a report: `CRITICAL - nothing listens on @pve2 [SOCKET_ABSENT]`. */
export function codeIn(line: string): CodeName | undefined {
  const names = line.matchAll(/\[([A-Z]+(?:_[A-Z]+)*)\]/g);
  return Array.from(names, ([, name = ""]) => name).find(isCode);
}

/** Words that look like a code (`SHM_FUL`): one word of letters and underscores. */
export function looksLikeCode(words: string): boolean {
  return /^[A-Z]{2,}(_[A-Z]+)+$|^[a-z]{2,}(_[a-z]+)+$/.test(words.trim());
}

/** The error texts that the fault `code` produces. */
export function textsOf(code: CodeName): ErrorText[] {
  const ids = rowOf(code).seen ?? [];
  return TEXTS.filter(({ id }) => ids.includes(id));
}

/** Names of all codes, for suggestions. */
export const CODE_NAMES: readonly string[] = Object.keys(CODES);
