/**
 * The log: lines on stderr through consola, one object per process part, made once in cli/ and
 * handed down. Priorities as `<N>` under journald, time stamps on a terminal, JSON on request.
 * Never hand it a Buffer (formatting one costs a millisecond); guard hot-path debug by `debugOn`.
 */
import { createConsola, type ConsolaInstance, type LogObject } from "consola/basic";
import { formatWithOptions } from "node:util";
import { escapeText, jsonText } from "./escape.ts";
import { LogLimits } from "./limits.ts";

export type LogLevel = "error" | "warn" | "info" | "debug";
/** `bare`: as C writes to a terminal, `[domain] level: text`. */
export type LogFormat = "plain" | "journal" | "json" | "bare";

/** consola's numbers. */
const LEVELS: Record<LogLevel, number> = { error: 0, warn: 1, info: 3, debug: 4 };

/** consola level -> syslog priority (sd-daemon(3)): err, warning, notice, info, debug. */
const PRIORITIES = [3, 4, 5, 6, 7, 7];

const LABELS = ["crit", "warning", "notice", "info", "debug", "debug"];

export interface Log {
  error(message: string): void;
  warn(message: string): void;
  info(message: string): void;
  /**
   * At most LogLimits.debugLinesPerSecond of all parts together; those left out are counted and the
   * count is logged.
   */
  debug(message: string): void;
  /** True when debug lines are wanted; check it before building one on a hot path. */
  readonly debugOn: boolean;
  /** SIGUSR1: debug on or off; returns what it is now. */
  toggleDebug(): boolean;
  /** The same log with `[tag]` before each line. */
  tagged(tag: string): Log;
}

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** Where lines go, stderr unless a test listens; false says that one was lost. */
  readonly write?: (line: string) => unknown;
  readonly clock?: () => Date;
}

/** `journal` when systemd reads our stderr (JOURNAL_STREAM), else `plain`. */
export function defaultFormat(environment: NodeJS.ProcessEnv): LogFormat {
  return environment["JOURNAL_STREAM"] === undefined ? "plain" : "journal";
}

/** Writes to stderr. Bun buffers what is not read; beyond a bound lines are dropped. */
function stderrWriter(): (line: string) => boolean {
  let unreadBytes = 0;
  // The reader has closed stderr: no reason to stop serving, and nowhere to report it.
  process.stderr.on("error", () => {});
  return (line) => {
    if (unreadBytes >= LogLimits.unreadBytes) return false;
    const size = Buffer.byteLength(line);
    unreadBytes += size;
    try {
      process.stderr.write(line, () => void (unreadBytes -= size));
    } catch {
      unreadBytes -= size;
    }
    return true;
  };
}

const A_SECOND_MS = 1000;

/**
 * Rate limit: lines per interval, and of these the lines per source. Lines left out are counted,
 * and the count is reported.
 */
export class LineBudget {
  readonly #lines: number;
  readonly #ofOne: number;
  readonly #tell: (leftOut: number, busiest: number) => void;
  readonly #intervalMs: number;
  readonly #bySource = new Map<number, number>();
  #endsAt = Number.NEGATIVE_INFINITY;
  #taken = 0;
  #leftOut = 0;
  #timer: Timer | undefined;

  /**
   * `tell` gets, after an interval, the number of lines left out and the source with most lines.
   */
  constructor(
    lines: number,
    ofOne: number,
    tell: (leftOut: number, busiest: number) => void,
    intervalMs = A_SECOND_MS,
  ) {
    this.#lines = lines;
    this.#ofOne = ofOne;
    this.#tell = tell;
    this.#intervalMs = intervalMs;
  }

  /** Whether `source` may write a line now; if not, the line is counted. */
  take(source = 0): boolean {
    const now = performance.now();
    if (now >= this.#endsAt) this.#next();
    const asked = (this.#bySource.get(source) ?? 0) + 1;
    this.#bySource.set(source, asked);
    if (asked <= this.#ofOne && this.#taken < this.#lines) {
      this.#taken++;
      return true;
    }
    this.#leftOut++;
    this.#timer ??= setTimeout(() => this.#next(), this.#endsAt - now).unref();
    return false;
  }

  /** Ends the budget and reports what was left out so far. */
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
    if (leftOut > 0) this.#tell(leftOut, busiest);
  }
}

function render(format: LogFormat, entry: LogObject, at: Date): string {
  const text = formatWithOptions({ colors: false }, ...(entry.args as [unknown, ...unknown[]]));
  const tag = entry.tag === "" ? "" : `[${entry.tag}] `;
  const label = LABELS[entry.level] ?? "info";
  if (format === "json") {
    const fields = { time: at.toISOString(), level: label, tag: entry.tag, message: text };
    return `${jsonText(fields)}\n`;
  }
  // One event is one line: text of peers may contain line breaks.
  const line = `${tag}${label}: ${escapeText(text)}\n`;
  if (format === "journal") return `<${PRIORITIES[entry.level] ?? 6}>${line}`;
  return format === "bare" ? line : `${at.toISOString()} ${line}`;
}

/** Makes the process's log. */
export function createLog(options: LogOptions): Log {
  const { format, write = stderrWriter(), clock = () => new Date() } = options;
  const level = LEVELS[options.level];
  let lost = 0;
  const report = (entry: LogObject): void => {
    if (write(render(format, entry, clock())) === false) {
      lost++;
    } else if (lost > 0) {
      const lines = lost;
      lost = 0;
      consola.warn(`${lines} lines before the last one are lost: nobody read them in time`);
    }
  };
  const consola = createConsola({ level, throttle: 0, reporters: [{ log: report }] });
  const most = LogLimits.debugLinesPerSecond;
  const debugLines = new LineBudget(most, most, (leftOut) => {
    consola.level = LEVELS.debug;
    consola.debug(`${leftOut} more debug lines in the last second, left out`);
  });
  return wrap(consola, { level, debugLines }, level);
}

/** A log that writes nothing: the default for users of the library. */
export const silentLog: Log = {
  error: () => {},
  warn: () => {},
  info: () => {},
  debug: () => {},
  debugOn: false,
  toggleDebug: () => false,
  tagged: () => silentLog,
};

/** What all parts of a log have in common. */
interface Shared {
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
    error: at(0, (message) => consola.error(message)),
    warn: at(1, (message) => consola.warn(message)),
    info: at(3, (message) => consola.info(message)),
    debug: at(4, (message) => {
      if (shared.debugLines.take()) consola.debug(message);
    }),
    get debugOn() {
      return shared.level >= 4;
    },
    toggleDebug() {
      shared.level = shared.level >= 4 ? Math.min(base, 3) : 4;
      return shared.level >= 4;
    },
    tagged: (tag) => wrap(consola.withTag(tag), shared, base),
  };
}
