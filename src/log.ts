/**
 * The log: lines on stderr through consola, one object per process part, made once in cli/ and
 * handed down. Priorities as `<N>` under journald, time stamps on a terminal, JSON on request.
 * Never hand it a Buffer (formatting one costs a millisecond); guard hot-path debug by `debugOn`.
 */
import { createConsola, type ConsolaInstance, type LogObject } from "consola/basic";
import { formatWithOptions } from "node:util";

export type LogLevel = "error" | "warn" | "info" | "debug";
export type LogFormat = "plain" | "journal" | "json";

/** consola's numbers. */
const LEVELS: Record<LogLevel, number> = { error: 0, warn: 1, info: 3, debug: 4 };

/** consola level -> syslog priority (sd-daemon(3)): err, warning, notice, info, debug. */
const PRIORITIES = [3, 4, 5, 6, 7, 7];

const LABELS = ["crit", "warning", "notice", "info", "debug", "debug"];

export interface Log {
  error(message: string): void;
  warn(message: string): void;
  info(message: string): void;
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
  /** Where lines go; stderr unless a test listens. */
  readonly write?: (line: string) => void;
  readonly clock?: () => Date;
}

/** `journal` when systemd reads our stderr (JOURNAL_STREAM), else `plain`. */
export function defaultFormat(environment: NodeJS.ProcessEnv): LogFormat {
  return environment["JOURNAL_STREAM"] === undefined ? "plain" : "journal";
}

function writeStderr(line: string): void {
  try {
    process.stderr.write(line);
  } catch {
    // A closed stderr must not stop the server; there is nowhere left to say so.
  }
}

function render(format: LogFormat, entry: LogObject, at: Date): string {
  const text = formatWithOptions({ colors: false }, ...(entry.args as [unknown, ...unknown[]]));
  const tag = entry.tag === "" ? "" : `[${entry.tag}] `;
  const label = LABELS[entry.level] ?? "info";
  if (format === "json") {
    const fields = { time: at.toISOString(), level: label, tag: entry.tag, message: text };
    return `${JSON.stringify(fields)}\n`;
  }
  // One event, one line: a newline in a peer's command name must not forge a second line.
  const line = `${tag}${label}: ${text.replaceAll("\n", "\\n")}\n`;
  if (format === "journal") return `<${PRIORITIES[entry.level] ?? 6}>${line}`;
  return `${at.toISOString()} ${line}`;
}

/** Makes the process's log. */
export function createLog(options: LogOptions): Log {
  const write = options.write ?? writeStderr;
  const clock = options.clock ?? (() => new Date());
  const consola = createConsola({
    level: LEVELS[options.level],
    throttle: 0,
    reporters: [{ log: (entry) => write(render(options.format, entry, clock())) }],
  });
  const shared = { level: LEVELS[options.level] };
  return wrap(consola, shared, LEVELS[options.level]);
}

/** A log that keeps nothing: for library users who bring none. */
export const silentLog: Log = {
  error: () => {},
  warn: () => {},
  info: () => {},
  debug: () => {},
  debugOn: false,
  toggleDebug: () => false,
  tagged: () => silentLog,
};

function wrap(consola: ConsolaInstance, shared: { level: number }, base: number): Log {
  const at = (level: number, emit: (message: string) => void) => (message: string) => {
    if (shared.level < level) return;
    consola.level = shared.level;
    emit(message);
  };
  return {
    error: at(0, (message) => consola.error(message)),
    warn: at(1, (message) => consola.warn(message)),
    info: at(3, (message) => consola.info(message)),
    debug: at(4, (message) => consola.debug(message)),
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
