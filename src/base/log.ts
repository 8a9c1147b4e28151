/**
 * The log: lines on stderr, formatted by consola. A process makes one, in cli/, and a tagged object
 * of it for each part. Lines have `<N>` priorities under journald, else time stamps, or are JSON.
 * Never pass a Buffer (formatting one takes 1 ms); on hot paths check `debugOn` first.
 */
import { createConsola, type ConsolaInstance, type LogObject } from "consola/basic";
import { formatWithOptions } from "node:util";
import { boundedWriter } from "./bounded-writer.ts";
import { counted } from "./counted.ts";
import { escapeText, jsonText } from "./escape.ts";
import { LogLimits } from "./limits.ts";

export type LogLevel = "error" | "warn" | "info" | "debug";
/** `bare`: `[domain] level: text`, as the C server writes to a terminal. */
export type LogFormat = "plain" | "journal" | "json" | "bare";

/** consola's levels. */
const LEVELS: Record<LogLevel, number> = { error: 0, warn: 1, info: 3, debug: 4 };

/** consola level -> name of the level in a line: the C server's, which has no `info`. */
const LABELS = ["crit", "warning", "notice", "notice", "debug", "debug"];

/** consola level -> syslog priority (sd-daemon(3)) of that name. */
const PRIORITIES = [2, 4, 5, 5, 7, 7];

/** The log of a process, or of a part of it. A server takes any object with these methods. */
export interface Log {
  error(message: string): void;
  warn(message: string): void;
  info(message: string): void;
  /**
   * At most LogLimits.debugLinesPerSecond from all parts together; further lines are counted, and
   * the count is logged.
   */
  debug(message: string): void;
  /** True when debug lines are wanted; check it before building one on a hot path. */
  readonly debugOn: boolean;
  /** Turns debug lines on or off (SIGUSR1); returns whether they are on now. */
  toggleDebug(): boolean;
  /** The same log with `[tag]` before each line. */
  tagged(tag: string): Log;
}

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** Writes a line, by default to stderr; false: the line was dropped. */
  readonly write?: (line: string) => unknown;
  readonly clock?: () => Date;
}

/** `journal` when systemd reads our stderr (JOURNAL_STREAM), else `plain`. */
export function defaultFormat(environment: NodeJS.ProcessEnv): LogFormat {
  return environment["JOURNAL_STREAM"] === undefined ? "plain" : "journal";
}

const SECOND_MS = 1000;

/**
 * Rate limit: lines per interval, in total and per source. Further lines are left out and counted,
 * and the count is reported.
 */
export class LineBudget {
  readonly #lines: number;
  readonly #perSource: number;
  readonly #report: (leftOut: number, busiest: number) => void;
  readonly #intervalMs: number;
  readonly #bySource = new Map<number, number>();
  #endsAt = Number.NEGATIVE_INFINITY;
  #taken = 0;
  #leftOut = 0;
  #timer: Timer | undefined;

  /**
   * Allows `lines` per interval, of which one source may write `perSource`. `report` gets, after an
   * interval, the number of lines left out and the busiest source.
   */
  constructor(
    lines: number,
    perSource: number,
    report: (leftOut: number, busiest: number) => void,
    intervalMs = SECOND_MS,
  ) {
    this.#lines = lines;
    this.#perSource = perSource;
    this.#report = report;
    this.#intervalMs = intervalMs;
  }

  /** Whether `source` may write a line now; if not, the line is counted. */
  take(source = 0): boolean {
    const now = performance.now();
    if (now >= this.#endsAt) this.#next();
    const asked = (this.#bySource.get(source) ?? 0) + 1;
    this.#bySource.set(source, asked);
    if (asked <= this.#perSource && this.#taken < this.#lines) {
      this.#taken++;
      return true;
    }
    this.#leftOut++;
    this.#timer ??= setTimeout(() => this.#next(), this.#endsAt - now).unref();
    return false;
  }

  /** Ends the interval and reports the lines left out so far. */
  close(): void {
    this.#next();
  }

  #next(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const leftOut = this.#leftOut;
    const [busiest = 0] = [...this.#bySource].toSorted(([, a], [, b]) => b - a)[0] ?? [];
    this.#endsAt = performance.now() + this.#intervalMs;
    this.#taken = 0;
    this.#leftOut = 0;
    this.#bySource.clear();
    if (leftOut > 0) this.#report(leftOut, busiest);
  }
}

function render(format: LogFormat, entry: LogObject, at: Date): string {
  const text = formatWithOptions({ colors: false }, ...(entry.args as [unknown, ...unknown[]]));
  const tag = entry.tag === "" ? "" : `[${entry.tag}] `;
  const label = LABELS[entry.level] ?? "notice";
  if (format === "json") {
    const fields = { time: at.toISOString(), level: label, tag: entry.tag, message: text };
    return `${jsonText(fields)}\n`;
  }
  // Escaped so that one event is one line: text from peers may contain line breaks.
  const line = `${tag}${label}: ${escapeText(text)}\n`;
  if (format === "journal") return `<${PRIORITIES[entry.level] ?? 5}>${line}`;
  return format === "bare" ? line : `${at.toISOString()} ${line}`;
}

/** Makes the process's log. */
export function createLog(options: LogOptions): Log {
  // If the reader closes stderr, the server goes on: the error can be reported nowhere.
  const { format, write = boundedWriter(process.stderr, () => {}) } = options;
  const { clock = () => new Date() } = options;
  const level = LEVELS[options.level];
  let lost = 0;
  const report = (entry: LogObject): void => {
    if (write(render(format, entry, clock())) === false) {
      lost++;
    } else if (lost > 0) {
      const lines = lost;
      lost = 0;
      const dropped = counted(lines, "line");
      consola.warn(`dropped ${dropped} before the previous one: stderr was not read in time`);
    }
  };
  const consola = createConsola({ level, throttle: 0, reporters: [{ log: report }] });
  const most = LogLimits.debugLinesPerSecond;
  const debugLines = new LineBudget(most, most, (leftOut) => {
    consola.level = LEVELS.debug;
    consola.debug(`left out ${counted(leftOut, "more debug line")} in the last second`);
  });
  return wrap(consola, { level, debugLines }, level);
}

/** A log that writes nothing, for parts that report their problems in their results. */
export const silentLog: Log = {
  error: () => {},
  warn: () => {},
  info: () => {},
  debug: () => {},
  debugOn: false,
  toggleDebug: () => false,
  tagged: () => silentLog,
};

/** The state that all parts of a log share. */
interface Shared {
  /** consola's level, as in LEVELS. */
  level: number;
  readonly debugLines: LineBudget;
}

function wrap(consola: ConsolaInstance, shared: Shared, base: number): Log {
  const at = (level: number, emit: (message: string) => void) => (message: string) => {
    if (shared.level < level) return;
    consola.level = shared.level;
    emit(message);
  };
  return {
    error: at(LEVELS.error, (message) => consola.error(message)),
    warn: at(LEVELS.warn, (message) => consola.warn(message)),
    info: at(LEVELS.info, (message) => consola.info(message)),
    debug: at(LEVELS.debug, (message) => {
      if (shared.debugLines.take()) consola.debug(message);
    }),
    get debugOn() {
      return shared.level >= LEVELS.debug;
    },
    toggleDebug() {
      const isOn = shared.level >= LEVELS.debug;
      shared.level = isOn ? Math.min(base, LEVELS.info) : LEVELS.debug;
      return !isOn;
    },
    tagged: (tag) => wrap(consola.withTag(tag), shared, base),
  };
}
